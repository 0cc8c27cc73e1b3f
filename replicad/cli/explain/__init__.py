"""What each kind of file holds, told from its bytes alone: `replicad inspect`."""

from replicad.cli.explain.explanation import Damage, Explanation
from replicad.cli.explain.kinds import explain

__all__ = ["Damage", "Explanation", "explain"]

"""Links between independent primaries (proto/link.md): loops detected, conflicts resolved by stamps."""

#: not simulated: tests/daemon/process lets a reader stand still
#: given
pair

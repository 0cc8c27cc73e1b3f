#: not simulated: the clock of this machine
#: given
pair

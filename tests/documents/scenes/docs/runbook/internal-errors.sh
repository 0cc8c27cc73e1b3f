#: not simulated: no bug is known
#: given
pair

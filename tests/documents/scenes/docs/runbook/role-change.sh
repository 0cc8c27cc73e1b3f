#: not simulated: the state lasts for milliseconds
#: given
pair

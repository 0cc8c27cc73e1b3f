#: not simulated: a disk that is slow
#: given
pair

#: not simulated: a replica remembers whom it followed
#: given
pair

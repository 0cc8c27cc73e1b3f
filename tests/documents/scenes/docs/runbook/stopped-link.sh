#: not simulated: 256 replicas
#: given
pair

#: given
two_primaries
replicad link add 127.0.0.1:6390 paris 127.0.0.1:6381
until_ link_streams 6390 paris
replicad link add 127.0.0.1:6380 lyon 127.0.0.1:6391
until_ link_streams 6380 lyon
replicad link pause 127.0.0.1:6390 paris
#: before replicad link seed
until_ link_streams 6390 paris

#: given
two_primaries
#: before replicad link add :6380 lyon
until_ link_streams 6390 paris
#: before redis-cli -p 6390 SET greeting
until_ link_streams 6380 lyon
until_ holds 6380 weather rain
until_ holds 6390 greeting bonjour
#: before redis-cli -p 6380 GET greeting
until_ holds 6380 greeting salut
#: after replicad link list :6390
said "paris"

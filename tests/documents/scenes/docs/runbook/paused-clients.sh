#: given
pair
redis-cli -p 6380 CLIENT PAUSE 600000 WRITE

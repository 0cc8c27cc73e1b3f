#: before redis-cli -p 6380 SET greeting
until_ answers 6390
#: after redis-cli -p 6380 SET greeting
said "equal at sequence number"
until_ holds 6390 greeting hello

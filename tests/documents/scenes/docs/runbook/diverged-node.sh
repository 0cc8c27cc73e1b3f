#: given
pair
systemctl stop replicad-primary
cp -a /var/lib/replicad/primary /var/lib/replicad/older
systemctl start replicad-primary
redis-cli -p 6380 SET later 1
until_ holds 6390 later 1
systemctl stop replicad-primary
rm -r /var/lib/replicad/primary
mv /var/lib/replicad/older /var/lib/replicad/primary
systemctl start replicad-primary
#: end
until_ follows 6390

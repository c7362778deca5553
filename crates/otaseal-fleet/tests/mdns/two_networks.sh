# Runs in a network of its own, with a second one beside it and a cable between: a computer here, a device there. Writes
# what the program says into files of this directory.
#
# FLEET: the program. PYTHON: with zeroconf. DEVICE: device.py. IMAGE: what is pushed. READY: a file that tells that both
# networks exist.
ip link set lo up
unshare --net sleep 120 > /dev/null 2>&1 &
there=$!
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
for _ in $(seq 100); do
    [ "$(readlink "/proc/$there/ns/net")" != "$(readlink /proc/self/ns/net)" ] && break
    sleep 0.05
done
there() {
    nsenter --target "$there" --net "$@"
}
ip link add here type veth peer name there netns "$there"
ip address add 10.9.8.2/24 dev here
ip link set here up
there ip link set lo up
there ip address add 10.9.8.1/24 dev there
there ip link set there up
touch "$READY"

# No function runs these: their processes must be those that end with this script.
nsenter --target "$there" --net "$PYTHON" "$DEVICE" 10.9.8.1 > announced 2>&1 &
nsenter --target "$there" --net "$FLEET" simulate espota --listen 10.9.8.1 > simulated 2>&1 &
for _ in $(seq 100); do
    [ -s announced ] && [ -s simulated ] && break
    sleep 0.1
done
run() {
    output=$1
    shift
    code=0
    "$FLEET" "$@" > "$output" 2>&1 || code=$?
    echo "exit $code" >> "$output"
}
run discovered discover --seconds 2
run by-name push espota esp8266-0a1b2c.local "$IMAGE"
run by-discovery push espota --discover 2 "$IMAGE"
run nobody push espota esp8266-ffffff.local "$IMAGE"

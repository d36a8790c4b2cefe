import type { HostPort } from '../../../../config/runtime.ts';

/**
 * What a canary says of itself, one word a line. It dials with whatever the image has; one that can dial with nothing proves
 * nothing, and is no canary.
 */
export function canaryScript(targets: Readonly<Record<string, HostPort>>): string {
  const dials = Object.entries(targets).map(([name, { host, port }]) => `dial ${name} ${host} ${port}`);
  return `
[ "$(id -u)" != 0 ] && echo not-root
[ -e /var/run/secrets/kubernetes.io ] || echo no-token
touch /canary 2>/dev/null || echo read-only
while read -r key value rest; do
  case "$key $value" in
    'CapEff: 0000000000000000') echo no-effective-capabilities ;;
    'CapBnd: 0000000000000000') echo no-bounding-capabilities ;;
    'NoNewPrivs: 1') echo no-new-privileges ;;
    'Seccomp: 2') echo seccomp ;;
    'Seccomp: 1') echo seccomp ;;
  esac
done < /proc/self/status
has() { command -v "$1" > /dev/null 2>&1; }
connect() {
  if has bash; then bash -c "exec 3<>/dev/tcp/$1/$2"
  elif has nc; then nc -w 2 "$1" "$2" < /dev/null
  elif has python3; then python3 -c "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)" "$1" "$2"
  elif has node; then node -e "const s=require('net').connect(+process.argv[2],process.argv[1],()=>process.exit(0));s.on('error',()=>process.exit(1));setTimeout(()=>process.exit(1),2000)" "$1" "$2"
  else return 99
  fi
}
dial() {
  timeout -s KILL 3 /bin/sh -c ':' || return
  connect_limited "$2" "$3" > /dev/null 2>&1
  case $? in 0) echo "reached $1" ;; 99) echo "cannot-dial" ;; *) echo "refused $1" ;; esac
}
connect_limited() {
  connect "$1" "$2" & pid=$!
  ( sleep 3; kill -9 $pid ) > /dev/null 2>&1 & killer=$!
  wait $pid; code=$?
  kill -9 $killer 2>/dev/null
  return $code
}
${dials.join('\n')}
echo done`;
}

/** Every line that has to be there, with what it means when it is not. */
export const EXPECTED: Readonly<Record<string, string>> = {
  'not-root': 'it runs as root',
  'no-token': 'it finds a token of a service account',
  'read-only': 'it can write to its root file system',
  'no-effective-capabilities': 'it has capabilities',
  'no-bounding-capabilities': 'it can gain capabilities',
  'no-new-privileges': 'it can gain privileges',
  seccomp: 'it runs without seccomp',
  done: 'it did not come to its end',
};

/** What is wrong by what it said; undefined when nothing is. */
export function wrongIn(said: string, targets: readonly string[]): string | undefined {
  const lines = new Set(said.split('\n').map((line) => line.trim()));
  const reached = targets.find((target) => lines.has(`reached ${target}`));
  if (reached !== undefined) return `it reaches ${reached}`;
  if (lines.has('cannot-dial'))
    return 'its image has none of bash, nc, python3 and node, so that it cannot try to connect';
  const missing = Object.entries(EXPECTED).find(([line]) => !lines.has(line));
  if (missing !== undefined) return missing[1];
  const silent = targets.find((target) => !lines.has(`refused ${target}`));
  return silent === undefined ? undefined : `it did not try ${silent}`;
}

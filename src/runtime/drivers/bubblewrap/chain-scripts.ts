import { EGRESS_SOCKET, FD } from './arguments.ts';
import { PROXY_PORT } from './environment.ts';
import { STARTED_LINE } from './status.ts';

/** Connections of one sandbox at once: each is a process of it. */
const RELAY_CONNECTIONS = 64;

/**
 * Of the shell outside, which becomes bwrap: puts itself into the cgroups named before `--`, then becomes what is after it.
 * The first process inside gets the status pipe a second time, for bwrap closes its own there.
 */
export const OUTSIDE = [
  'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift',
  // What is isolated goes before the service when the whole machine is out of memory, however the service itself is rated.
  'echo 500 >/proc/self/oom_score_adj || exit 125',
  `exec "$@" ${FD.started}>&${FD.status}`,
].join('\n');

/** What socat says when connections are accepted, among much that does not matter. */
export const RELAY_READY = ' listening on ';

/**
 * The relay to the egress proxy; goes on when the service answers that it has heard it is ready. Without the variables of the
 * command: some of them would make it listen elsewhere, later or never.
 */
const RELAY = [
  'socat=$1; shift',
  `/usr/bin/env -i "$socat" -d -d -t 10 TCP4-LISTEN:${PROXY_PORT},bind=127.0.0.1,reuseaddr,fork,max-children=${RELAY_CONNECTIONS}` +
    ` UNIX-CONNECT:${EGRESS_SOCKET} 2>&${FD.relay} ${FD.relay}>&- ${FD.started}>&- >/dev/null &`,
  `read -r go <&${FD.relay} || exit 125`,
];

/**
 * Of the first process inside, which reaps what its descendants leave. Its arguments: most processes of the user (a limit
 * that counts them inside alone), the relay's program if there is one, then the command. The descriptors are closed in the
 * one child as well: it is made after.
 */
export function insideScript(options: { readonly hasEgress: boolean; readonly carriers: readonly string[] }): string {
  const { carriers } = options;
  const unpack = ['/usr/bin/env', ...carriers.map((name) => `-u ${name}`), ...carriers.map((name) => `"$${name}"`), ''];
  return [
    // dash and busybox say -p, bash says -u.
    'ulimit -p "$1" 2>/dev/null || ulimit -u "$1"; shift',
    ...(options.hasEgress ? RELAY : []),
    // Refused when the service has gone: what it has gone from before this process could be told to end with it ends here.
    `echo '${STARTED_LINE}' >&${FD.started} || exit 125; exec ${FD.started}>&- ${FD.relay}>&-`,
    // A child, also because signals that it does not handle never reach the first process of a namespace.
    `(exec ${carriers.length === 0 ? '' : unpack.join(' ')}"$@")`,
    'exit $?',
  ].join('\n');
}

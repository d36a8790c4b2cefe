/** The Chrome DevTools Protocol of a process that was started with --inspect. */
export interface Inspector {
  send(method: string, params?: object): Promise<unknown>;
  close(): void;
}

export async function connectInspector(url: string): Promise<Inspector> {
  const socket = new WebSocket(url);
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  let sent = 0;
  socket.addEventListener('message', ({ data }) => {
    const message: { id?: number; result?: unknown; error?: { message: string } } = JSON.parse(String(data));
    const asked = message.id === undefined ? undefined : waiting.get(message.id);
    if (message.id === undefined || asked === undefined) return;
    waiting.delete(message.id);
    if (message.error === undefined) asked.resolve(message.result);
    else asked.reject(new Error(message.error.message));
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)));
  });
  return {
    send: (method, params = {}) => {
      sent += 1;
      socket.send(JSON.stringify({ id: sent, method, params }));
      return new Promise((resolve, reject) => waiting.set(sent, { resolve, reject }));
    },
    close: () => socket.close(),
  };
}

/** Owns the look of a simulated connection as a browser's WebSocket, as much of it as the subscriber client uses. */

import type { ClientHandlers, ClientSocket } from '#test/simulation/connection.ts';

/** `connect` opens the connection, or finds nobody (null), which `closed` tells as well. */
export function openBrowserSocket(
  connect: (handlers: ClientHandlers) => Pick<ClientSocket, 'isOpen' | 'sendText' | 'close'> | null,
): WebSocket {
  const listeners = { open: ignore, message: ignore, close: ignore };
  const socket = connect({
    opened: () => listeners.open({}),
    text: (data) => listeners.message({ data }),
    binary: (bytes) => listeners.message({ data: new Uint8Array(bytes).buffer }),
    closed: (code, reason) => listeners.close({ code, reason }),
  });
  const shown = {
    binaryType: 'blob',
    get readyState() {
      return socket?.isOpen() === true ? 1 : 0;
    },
    addEventListener: (type: keyof typeof listeners, listener: Listener) => {
      listeners[type] = listener;
    },
    send: (text: string) => socket?.sendText(text),
    close: (code: number) => socket?.close(code, ''),
  };
  return shown as unknown as WebSocket;
}

type Listener = (event: { data?: unknown; code?: number; reason?: string }) => void;

const ignore: Listener = () => undefined;

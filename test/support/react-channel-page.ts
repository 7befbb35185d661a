/** Owns the page of the hooks' test: a room with who is in it, drawn by React from nothing but the hooks. Bundled for Chromium. */

import { createElement as h, StrictMode, useState, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';

import { connectLive } from '#sdk/live-client.ts';
import { LiveProvider, useChannel, useConnection, usePresence } from '#sdk/react-entry.ts';
import type { room } from '#test/support/channel-server.ts';

/** As much of the browser as is used: types here are those of Node. */
declare const document: {
  createElement(name: 'main'): Element;
  readonly body: { replaceChildren(element: Element): void };
};

export interface ShowRoom {
  (options: { readonly liveUrl: string; readonly key: string; readonly channel: string }): void;
}

declare global {
  var showRoom: ShowRoom;
  /** Tears the connection. */
  var cutRoom: () => void;
}

globalThis.showRoom = ({ liveUrl, key, channel }) => {
  const client = connectLive({
    url: liveUrl,
    token: () => key,
    openSocket: (url, protocol) => {
      const socket = new WebSocket(url, protocol);
      globalThis.cutRoom = () => socket.close();
      return socket;
    },
  });
  const root = document.createElement('main');
  document.body.replaceChildren(root);
  // Strict mode mounts everything twice, as a page in development does.
  createRoot(root).render(h(StrictMode, null, h(LiveProvider, { client, children: h(Page, { channel }) })));
};

function Page({ channel }: { readonly channel: string }): ReactElement {
  const [hasMore, setHasMore] = useState(false);
  const connection = useConnection();
  return h(
    'div',
    null,
    h('output', { id: 'connection' }, connection.name),
    h(Room, { channel, id: 'room' }),
    h('button', { type: 'button', onClick: () => setHasMore((has) => !has) }, 'more'),
    hasMore && h(Room, { channel, id: 'more' }),
    hasMore && h(People, { channel }),
    h(Refused),
  );
}

function Room({ channel, id }: { readonly channel: string; readonly id: string }): ReactElement {
  const { messages, status, client } = useChannel<typeof room>(channel, { last: 5, keep: 8 });
  const say = (): void => void client.publish('said', { n: messages.length });
  return h(
    'section',
    { id, 'data-status': status },
    h('button', { type: 'button', onClick: say }, 'say'),
    h('p', null, messages.map(({ data }) => data.n).join(' ')),
  );
}

function People({ channel }: { readonly channel: string }): ReactElement {
  const { count, members } = usePresence(channel);
  return h('output', { id: 'people' }, `${count} ${members.length}`);
}

function Refused(): ReactElement {
  const { status, refusal } = useChannel('room/closed');
  return h('output', { id: 'refused' }, `${status} ${refusal?.code ?? ''}`);
}

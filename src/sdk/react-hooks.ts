/**
 * Owns the hooks for React: a program makes one client, gives it to a provider, and its components follow channels for as
 * long as they are shown. Several that follow the same one share its subscription. Bound: `keep` messages a hook.
 */

import {
  createContext,
  createElement,
  useContext,
  useEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from 'react';
import { useSyncExternalStore, type ReactElement, type ReactNode } from 'react';

import { assert } from '#base/assert.ts';
import {
  channelClient,
  type AnyDefinition,
  type ChannelClient,
  type MessageOf,
} from '#sdk/channel-client.ts';
import type { ChannelMembers, LiveClient } from '#sdk/live-api.ts';
import type { LiveGap, LiveState } from '#sdk/live-events.ts';
import type { ChannelMessage } from '#sdk/live-subscribers.ts';
import { createPresenceList } from '#sdk/presence-list.ts';

const LiveContext = createContext<LiveClient | null>(null);

export interface LiveProviderProps {
  /** Made once, outside of rendering: `connectLive(...)`. */
  readonly client: LiveClient;
  readonly children?: ReactNode;
}

export function LiveProvider({ client, children }: LiveProviderProps): ReactElement {
  return createElement(LiveContext.Provider, { value: client }, children);
}

export function useLiveClient(): LiveClient {
  const client = useContext(LiveContext);
  assert(client !== null, 'hooks of kymo/react are used within a LiveProvider');
  return client;
}

/** The state of the connection, its transport included. */
export function useConnection(): LiveState {
  const client = useLiveClient();
  return useSyncExternalStore(client.watchState, () => client.state);
}

export interface UseChannelOptions<M extends ChannelMessage = ChannelMessage> {
  /** The newest so many first. Default 0. */
  readonly last?: number;
  /** How many messages are kept, the newest ones. Default 200. */
  readonly keep?: number;
  /** What others see of this member. The first value counts; later ones are told by `client.setState`. */
  readonly state?: unknown;
  /** Beside being kept: called once for each. */
  readonly onMessage?: (message: M) => void;
}

export type ChannelStatus =
  /** Before the server's first word. */
  | 'waiting'
  | 'following'
  /** It may not be followed: `refusal` says why. */
  | 'refused';

export interface UsedChannel<D extends AnyDefinition> {
  readonly status: ChannelStatus;
  /** Oldest first; at most `keep`. */
  readonly messages: readonly MessageOf<D>[];
  /** The newest gap: what was lost before the messages that came after it. */
  readonly gap: LiveGap | null;
  readonly refusal: { readonly code: string; readonly message: string } | null;
  /** To publish, to ask, and to read history. */
  readonly client: ChannelClient<D>;
}

interface Followed {
  readonly status: ChannelStatus;
  readonly messages: readonly ChannelMessage[];
  readonly gap: LiveGap | null;
  readonly refusal: UsedChannel<AnyDefinition>['refusal'];
}

type Change =
  | { readonly type: 'begun' | 'subscribed' }
  | { readonly type: 'message'; readonly message: ChannelMessage; readonly keep: number }
  | { readonly type: 'earlier'; readonly messages: readonly ChannelMessage[] }
  | { readonly type: 'gap'; readonly gap: LiveGap }
  | { readonly type: 'refused'; readonly code: string; readonly message: string };

const nothing: Followed = { status: 'waiting', messages: [], gap: null, refusal: null };

function reduce(followed: Followed, change: Change): Followed {
  switch (change.type) {
    case 'begun':
      return nothing;
    case 'subscribed':
      return { ...followed, status: 'following' };
    case 'message':
      return { ...followed, messages: [...followed.messages, change.message].slice(-change.keep) };
    case 'earlier': {
      const [first] = followed.messages;
      const isEarlier = ({ offset }: ChannelMessage): boolean => (offset ?? 0) < (first?.offset ?? Infinity);
      return { ...followed, messages: [...change.messages.filter(isEarlier), ...followed.messages] };
    }
    case 'gap':
      return { ...followed, gap: change.gap };
    case 'refused':
      return { ...followed, status: 'refused', refusal: { code: change.code, message: change.message } };
  }
}

/** Follows a channel while the component is shown: `useChannel<typeof definition>('session/1/chat', { last: 50 })`. */
export function useChannel<D extends AnyDefinition = AnyDefinition>(
  channel: string,
  options: UseChannelOptions<MessageOf<D>> = {},
): UsedChannel<D> {
  const live = useLiveClient();
  const [followed, change] = useReducer(reduce, nothing);
  // What was given last is used; a new object at every rendering is no reason to subscribe again.
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    change({ type: 'begun' });
    const { last = 0, state } = latest.current;
    const subscription = live.subscribe(channel, {
      last,
      ...(state === undefined ? {} : { state }),
      onSubscribed: () => change({ type: 'subscribed' }),
      onMessage: (message) => {
        latest.current.onMessage?.(message as MessageOf<D>);
        change({ type: 'message', message, keep: latest.current.keep ?? 200 });
      },
      onReset: (gap) => change({ type: 'gap', gap }),
      onRefused: (code, message) => change({ type: 'refused', code, message }),
    });
    let isShown = true;
    // Another component follows it already: what the server sent first went there.
    if (last > 0 && subscription.position !== null) {
      change({ type: 'subscribed' });
      subscription.history({ limit: last }).then(
        ({ messages }) => isShown && change({ type: 'earlier', messages }),
        () => undefined,
      );
    }
    return () => {
      isShown = false;
      subscription.unsubscribe();
    };
  }, [live, channel]);
  const client = useMemo(() => channelClient<D>(live, channel), [live, channel]);
  return { ...followed, messages: followed.messages as readonly MessageOf<D>[], client };
}

/** Who is in a channel, while the component is shown. Large channels only count. */
export function usePresence(channel: string): ChannelMembers {
  const live = useLiveClient();
  const [members, setMembers] = useState<ChannelMembers>({ count: 0, members: [] });
  useEffect(() => {
    const list = createPresenceList();
    let isShown = true;
    // Who subscribed before got the list; and after a lost connection it is another one.
    const ask = (): void => {
      list.asked();
      live.members(channel).then(
        (answer) => {
          if (!isShown) return;
          list.listed(answer);
          setMembers(list.current);
        },
        // Changes still come; and at the next subscription it is asked again.
        () => undefined,
      );
    };
    const subscription = live.subscribe(channel, {
      presence: true,
      onSubscribed: ask,
      onPresence: (change) => {
        list.told(change);
        setMembers(list.current);
      },
    });
    if (subscription.position !== null) ask();
    return () => {
      isShown = false;
      subscription.unsubscribe();
    };
  }, [live, channel]);
  return members;
}

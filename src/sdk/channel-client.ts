/**
 * Owns the typed view of one channel: `channelClient<typeof definition>(live, name)` knows the events, data and requests of
 * the definition that it is given as a type, so that nothing of the server or of its schemas comes into a bundle. What the
 * server checks is not checked again here.
 */

import type { Static, TSchema } from 'typebox';

import type {
  ChannelHistory,
  ChannelMembers,
  HistoryRange,
  LiveClient,
  Published,
  PublishOptions,
  RequestOptions,
  Subscription,
} from '#sdk/live-api.ts';
import type { ChannelMessage, SubscribeOptions } from '#sdk/live-subscribers.ts';

type Schemas = Readonly<Record<string, TSchema>>;

/** As much of a definition as its clients are about: what `defineChannel` returns. */
export interface AnyDefinition {
  readonly out: Schemas;
  readonly in?: Schemas;
  readonly requests?: Readonly<Record<string, { readonly input: TSchema; readonly output: TSchema }>>;
}

type Names<T> = keyof NonNullable<T> & string;
/** Events that clients may send, and their data. */
type InputOf<D extends AnyDefinition, E extends Names<D['in']>> = Static<NonNullable<D['in']>[E] & TSchema>;
type RequestOf<D extends AnyDefinition, N extends Names<D['requests']>> = NonNullable<D['requests']>[N];

/** One message of a channel of this definition: told apart by `event`. */
export type MessageOf<D extends AnyDefinition> = {
  [E in keyof D['out'] & string]: ChannelMessage<E, Static<D['out'][E]>>;
}[keyof D['out'] & string];

export interface ChannelClient<D extends AnyDefinition> {
  readonly channel: string;
  subscribe(options?: SubscribeOptions<MessageOf<D>>): Subscription;
  publish<E extends Names<D['in']>>(
    event: E,
    data: InputOf<D, E>,
    options?: PublishOptions,
  ): Promise<Published>;
  request<N extends Names<D['requests']>>(
    name: N,
    data: Static<RequestOf<D, N>['input']>,
    options?: RequestOptions,
  ): Promise<Static<RequestOf<D, N>['output']>>;
  history(range?: HistoryRange): Promise<ChannelHistory<MessageOf<D>>>;
  members(): Promise<ChannelMembers>;
  setState(state: unknown): Promise<void>;
}

/** `channel`: a name of the definition, with its parameters filled in. */
export function channelClient<D extends AnyDefinition>(live: LiveClient, channel: string): ChannelClient<D> {
  return {
    channel,
    // The server keeps to its definition, which is where these types come from.
    subscribe: (options = {}) => live.subscribe(channel, options as SubscribeOptions),
    publish: (...args) => live.publish(channel, ...args),
    request: (...args) => live.request(channel, ...args) as Promise<never>,
    history: (range) => live.history(channel, range) as Promise<ChannelHistory<MessageOf<D>>>,
    members: () => live.members(channel),
    setState: (state) => live.setState(channel, state),
  };
}

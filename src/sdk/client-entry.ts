/** Owns what `kymo/client` is: the REST client and the live viewer, for browsers and Node. Names here are kept (docs/versions.md). */

export { AppError } from '#base/errors.ts';
export type { EnvelopeData, EnvelopeGap } from '#contract/envelope.ts';
export type {
  About,
  DeviceCreated,
  ReadingPage,
  SessionDetail,
  SessionPage,
  SessionSummary,
  StreamDetail,
} from '#contract/rest.ts';
export { channelClient, type ChannelClient, type MessageOf } from '#sdk/channel-client.ts';
export {
  createHttpClient,
  type EnvelopeQuery,
  type HttpClient,
  type HttpClientOptions,
  type ReadingQuery,
} from '#sdk/http-client.ts';
export type {
  ChannelHistory,
  ChannelMembers,
  HistoryRange,
  LiveClient,
  LiveOptions,
  Published,
  PublishOptions,
  RequestOptions,
  Subscription,
} from '#sdk/live-api.ts';
export { connectLive } from '#sdk/live-client.ts';
export type { FollowOptions, LiveGap, LiveState } from '#sdk/live-events.ts';
export type { ChannelMessage, PresenceChange, SubscribeOptions } from '#sdk/live-subscribers.ts';
export type { TransportName } from '#sdk/live-transports.ts';

/** Owns what `#extension` is: all that an extension needs, from one place. Names here are kept (docs/versions.md). */

export { Type, type Static } from 'typebox';

export { AppError } from '#base/errors.ts';
export { defineChannel, type ChannelServices } from '#contract/channel-definition.ts';
export {
  defineExtension,
  defineRoute,
  type ExtensionDefinition,
  type ProcessorContext,
  type ProcessorDefinition,
  type ProcessorStream,
  type WatcherDefinition,
} from '#contract/extension.ts';
export type { Principal } from '#contract/principal.ts';
export type {
  DatabaseListening,
  DatabaseQuery,
  FeedFollowing,
  FeedMessage,
  WatcherContext,
} from '#contract/watcher.ts';
export type { SessionWindow } from '#contract/windows.ts';

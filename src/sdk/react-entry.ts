/** Owns what `kymo/react` is: hooks that follow channels. React is the program's own. Names here are kept (docs/versions.md). */

export {
  LiveProvider,
  useChannel,
  useConnection,
  useLiveClient,
  usePresence,
  type ChannelStatus,
  type LiveProviderProps,
  type UseChannelOptions,
  type UsedChannel,
} from '#sdk/react-hooks.ts';

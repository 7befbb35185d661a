/** Owns the list of targets, in the order in which the command runs them. */

import { codecTarget } from '#test/fuzz/codecs/codec-target.ts';
import { gatewayTarget } from '#test/fuzz/gateway/gateway-target.ts';
import { viewerTarget } from '#test/fuzz/viewer/viewer-target.ts';
import { deviceClientTarget } from '#test/fuzz/sdk/device-client-target.ts';
import { channelTarget } from '#test/fuzz/http/channel-target.ts';
import { httpTarget } from '#test/fuzz/http/http-target.ts';
import { liveClientTarget } from '#test/fuzz/sdk/live-client-target.ts';
import type { Target } from '#test/fuzz/target.ts';

export const targets: readonly Target[] = [
  gatewayTarget,
  viewerTarget,
  deviceClientTarget,
  liveClientTarget,
  httpTarget,
  channelTarget,
  codecTarget,
];

export function targetNamed(name: string): Target | undefined {
  return targets.find((target) => target.name === name);
}

/** Owns the list of targets, in the order in which the command runs them. */

import { gatewayTarget } from '#test/fuzz/gateway/gateway-target.ts';
import type { Target } from '#test/fuzz/target.ts';

export const targets: readonly Target[] = [gatewayTarget];

export function targetNamed(name: string): Target | undefined {
  return targets.find((target) => target.name === name);
}

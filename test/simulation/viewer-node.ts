/** Owns a simulated viewer: a page that follows one session with the real subscriber client. */

import { integerBelow, seededRandom } from '#base/random.ts';
import type { LiveClient } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';
import { openBrowserSocket } from '#test/simulation/browser-socket.ts';
import { WORLD_STARTS_US, type DeviceNode, type NodeContext } from '#test/simulation/device-node.ts';
import { createSimulatedClock, type Process } from '#test/simulation/scheduler.ts';

export interface ViewerPlan {
  readonly name: string;
  /** Whose session it watches, by index. */
  readonly device: number;
  /** The organisation's name. */
  readonly org: string;
}

export interface ViewerNode {
  readonly name: string;
  readonly plan: ViewerPlan;
  /** The session that it asks for. */
  readonly sessionId: string;
  /** Null: not running. */
  readonly process: Process | null;
  boot(): void;
  kill(): void;
  /** It takes nothing from its socket meanwhile. */
  setSlow(isSlow: boolean): void;
}

export interface ViewerNodeOptions extends NodeContext {
  readonly plan: ViewerPlan;
  readonly orgId: string;
  readonly device: DeviceNode;
}

/** A person looks again at a session that was not there, and less and less often. */
const LOOK_AGAIN_MS = { first: 500, most: 8000 } as const;

export function createViewerNode(options: ViewerNodeOptions): ViewerNode {
  const { scheduler, network, observer, plan, orgId, device } = options;
  const { name } = plan;
  const clock = createSimulatedClock(scheduler, WORLD_STARTS_US, () => node.process);
  const channel = `session/${device.sessionId}/readings`;
  let processes = 0;

  function boot(): void {
    if (node.process !== null) return;
    const process = scheduler.process(`${name}#${++processes}`);
    node.process = process;
    let lookAgainMs: number = LOOK_AGAIN_MS.first;
    let from = 'closed';
    const client: LiveClient = connectLive({
      url: 'ws://server/v1/live',
      transports: ['websocket'],
      clock,
      random: seededRandom(integerBelow(scheduler.random, 2 ** 32)),
      ticket: () => network.ask(name, process, (server) => server.issueTicket({ name, orgId })),
      openSocket: (url) => openSocket(process, url),
      onState: ({ name: to }) => {
        if (to !== from) observer.note('live machine', { from, to });
        from = to;
      },
      onReadings: (_channel, message) => observer.viewerSaw(node, message),
      onCommitted: (_channel, streams) => observer.viewerSaw(node, streams),
      onRefused: (_channel, code) => {
        observer.note(`${name} is refused`, { code });
        clock.after(lookAgainMs, () => client.subscribe(channel));
        lookAgainMs = Math.min(LOOK_AGAIN_MS.most, lookAgainMs * 2);
      },
      onProblem: (code, message) => observer.note(`${name} has a problem`, { code, message }),
    });
    client.subscribe(channel);
  }

  function openSocket(process: Process, url: string): WebSocket {
    const ticket = decodeURIComponent(new URL(url).searchParams.get('ticket') ?? '');
    return openBrowserSocket((handlers) =>
      network.connect(name, {
        client: process,
        handlers,
        upgrade: (server, request) => server.upgradeViewer(request, ticket),
      }),
    );
  }

  const node: { -readonly [K in keyof ViewerNode]: ViewerNode[K] } = {
    name,
    plan,
    sessionId: device.sessionId,
    process: null,
    boot,
    kill() {
      const { process } = node;
      if (process === null) return;
      process.kill();
      network.processDied(process, true);
      node.process = null;
    },
    setSlow: (isSlow) => network.setReading(name, !isSlow),
  };
  network.add(name);
  return node;
}

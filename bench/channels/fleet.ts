/**
 * Owns the connections of one client process to one server: opening them a few at a time, subscribing them all at once,
 * cutting them all and bringing them back. A connection that the server ends, or a refusal, is kept as the run's failure:
 * no figure is made of connections that are not there.
 */

import { assert } from '#base/assert.ts';
import { dialects, kinds, type Dialect, type DialectName, type Kind } from '#bench/channels/dialect.ts';
import { openRawConnection, type RawConnection } from '#bench/channels/raw-connection.ts';

export interface FleetPlan {
  readonly dialect: DialectName;
  readonly host: string;
  readonly port: number;
  /** For servers that ask for one: connections take them in turn, as so many people would. */
  readonly keys: readonly string[];
  /** Handshakes under way at a time. */
  readonly connectingAtOnce: number;
  /** Connections come from 127.0.0.1 to 127.0.0.this in turn, since each has ports for 28,000 only. */
  readonly sourceAddresses: number;
  /** Remember sessions and positions, to resume from: needed before `cut`. */
  readonly isResuming: boolean;
}

export interface Member {
  readonly index: number;
  channel: string;
  /** What a publish loop counts by. */
  group: object | null;
  send(frames: Buffer): void;
}

export interface Fleet {
  readonly members: readonly Member[];
  /** Of `plan`. */
  readonly dialect: Dialect;
  /** Why the run is no figure; null while it may be one. */
  readonly failure: string | null;
  /** Members whose server said on return that nothing is missing. */
  readonly recovered: number;
  /** Called for each publication that arrives. */
  onPublication: (member: Member, bytes: Buffer, from: number, to: number) => void;
  /** Opens so many more; resolves when all may be used. */
  connect(count: number): Promise<void>;
  /** Subscribes those members, each to its channel; resolves when all are subscribed. */
  subscribe(members: readonly Member[], channelOf: (member: Member) => string): Promise<void>;
  /** Ends those connections as a cut cable would. */
  cut(members: readonly Member[]): void;
  /** Opens them again and subscribes each to its channel where it left off. */
  comeBack(members: readonly Member[]): Promise<void>;
  close(): void;
}

type Stage = 'opening' | 'ready' | 'subscribing' | 'cut';

interface MemberState extends Member {
  stage: Stage;
  connection: RawConnection | null;
  session: string | null;
  position: string | null;
  /** Goes on subscribing as soon as the connection is ready. */
  isComingBack: boolean;
}

/** One wait at a time: connect, subscribe or come back. */
interface Waiting {
  left: number;
  resolve(): void;
  reject(error: Error): void;
}

export function createFleet(plan: FleetPlan): Fleet {
  const dialect: Dialect = dialects[plan.dialect];
  const members: MemberState[] = [];
  const headers = plan.keys.map((key) => dialect.headers(key));
  let queue: MemberState[] = [];
  let failure: string | null = null;
  let recovered = 0;
  let isClosed = false;
  let waiting: Waiting | null = null;
  let heartbeatAt = 0;
  const heartbeats =
    dialect.heartbeatMs === 0 ? undefined : setInterval(sendHeartbeats, dialect.heartbeatMs / 10);

  const fleet: Fleet = {
    members,
    dialect,
    get failure() {
      return failure;
    },
    get recovered() {
      return recovered;
    },
    onPublication: () => undefined,
    connect(count) {
      const first = members.length;
      for (let i = 0; i < count; i++) members.push(createMember(first + i));
      return openAll(members.slice(first));
    },
    subscribe(chosen, channelOf) {
      const done = wait(chosen.length);
      for (const { index } of chosen) {
        const member = members[index]!;
        member.channel = channelOf(member);
        member.stage = 'subscribing';
        member.send(dialect.subscribe(member.channel, null));
      }
      return done;
    },
    cut(chosen) {
      for (const { index } of chosen) {
        const member = members[index]!;
        member.connection?.reset();
        member.connection = null;
        member.stage = 'cut';
      }
    },
    comeBack(chosen) {
      recovered = 0;
      const back = chosen.map(({ index }) => members[index]!);
      for (const member of back) member.isComingBack = true;
      return openAll(back);
    },
    close() {
      isClosed = true;
      clearInterval(heartbeats);
      for (const member of members) member.connection?.reset();
    },
  };
  return fleet;

  function createMember(index: number): MemberState {
    const member: MemberState = {
      index,
      channel: '',
      group: null,
      stage: 'cut',
      connection: null,
      session: null,
      position: null,
      isComingBack: false,
      send: (frames) => member.connection?.send(frames),
    };
    return member;
  }

  function wait(left: number): Promise<void> {
    assert(waiting === null, 'one wait at a time');
    return new Promise((resolve, reject) => {
      waiting = { left, resolve, reject };
      if (failure !== null) fail(failure);
      else if (left === 0) countDone(0);
    });
  }

  function countDone(count = 1): void {
    if (waiting === null) return;
    waiting.left -= count;
    if (waiting.left > 0) return;
    const { resolve } = waiting;
    waiting = null;
    resolve();
  }

  function fail(why: string): void {
    if (isClosed) return;
    failure ??= why;
    queue = [];
    waiting?.reject(new Error(why));
    waiting = null;
  }

  function openAll(chosen: readonly MemberState[]): Promise<void> {
    const done = wait(chosen.length);
    queue = chosen.toReversed();
    for (let i = 0; i < plan.connectingAtOnce; i++) openNext();
    return done;
  }

  function openNext(): void {
    const member = queue.pop();
    if (member === undefined) return;
    member.stage = 'opening';
    member.connection = openRawConnection(
      {
        host: plan.host,
        port: plan.port,
        path: dialect.path,
        headers: headers[member.index % headers.length] ?? '',
        localAddress: `127.0.0.${1 + (member.index % plan.sourceAddresses)}`,
      },
      {
        opened() {
          if (dialect.speaksFirst === 'client') greet(member);
          else if (dialect.speaksFirst === 'nobody') becomeReady(member);
        },
        frame: (_opcode, bytes, from, to) => receive(member, bytes, from, to),
        closed: (why) => fail(`connection ${member.index}, ${member.stage}: ${why}`),
      },
    );
  }

  function greet(member: MemberState): void {
    const hello = dialect.hello(member.session, member.position);
    if (hello !== null) member.send(hello);
  }

  function receive(member: MemberState, bytes: Buffer, from: number, to: number): void {
    const kind = dialect.kindOf(bytes, from);
    if (kind === kinds.publication) {
      if (plan.isResuming) remember(member, kind, bytes.toString('utf8', from, to));
      fleet.onPublication(member, bytes, from, to);
    } else if (kind === kinds.subscribed) {
      if (member.stage !== 'subscribing') return;
      const text = plan.isResuming ? bytes.toString('utf8', from, to) : '';
      becomeSubscribed(member, text);
    } else if (kind === kinds.ready) {
      becomeReady(member, plan.isResuming ? bytes.toString('utf8', from, to) : '');
    } else if (kind === kinds.greeting) greet(member);
    else if (kind === kinds.ping) member.send(dialect.pong!);
    else if (kind === kinds.refused)
      fail(`connection ${member.index} was told ${bytes.toString('utf8', from, Math.min(to, from + 300))}`);
  }

  function becomeReady(member: MemberState, text = ''): void {
    openNext();
    member.stage = 'ready';
    if (!member.isComingBack) {
      if (plan.isResuming && dialect.resumes === 'session') member.session = dialect.sessionIn(text);
      countDone();
      return;
    }
    const session = dialect.resumes === 'session' ? dialect.sessionIn(text) : null;
    if (session !== null && session === member.session) {
      member.isComingBack = false;
      recovered++;
      countDone();
      return;
    }
    member.stage = 'subscribing';
    member.send(dialect.subscribe(member.channel, member.position));
  }

  function becomeSubscribed(member: MemberState, text: string): void {
    member.stage = 'ready';
    if (plan.isResuming) {
      if (member.isComingBack && dialect.hasRecovered(text)) recovered++;
      remember(member, kinds.subscribed, text);
    }
    member.isComingBack = false;
    countDone();
  }

  function remember(member: MemberState, kind: Kind, text: string): void {
    member.position = dialect.positionAfter(member.position, { kind, text });
  }

  /** A tenth of the members at a time. */
  function sendHeartbeats(): void {
    for (let i = heartbeatAt; i < members.length; i += 10) {
      const member = members[i]!;
      if (member.stage !== 'opening') member.send(dialect.heartbeat!);
    }
    heartbeatAt = (heartbeatAt + 1) % 10;
  }
}

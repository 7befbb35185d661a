/**
 * Owns what one viewer follows: at most `subscriptionsPerViewer` channels, each asked for, permitted, joined and given
 * up. Every request gets exactly one answer for each channel. Channels take turns in being first, so that none starves when a
 * batch is full.
 */

import { ok, fail, type Result } from '#base/result.ts';
import { presenceLimits } from '#bus/presence.ts';
import type { ViewerMessage } from '#contract/live-messages.ts';
import type { Principal } from '#contract/principal.ts';
import { decodeCursor } from '#protocol/channel-cursor.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Position } from '#protocol/publication.ts';
import type { Batch, Cursor, Pulled, Started } from '#live/channel.ts';
import type { FoundChannel } from '#live/channels.ts';
import type { OpenChannel } from '#live/open-channels.ts';
import type { Viewer } from '#live/viewer.ts';
import { wireErrorOf } from '#live/wire-error.ts';

type SubscribeMessage = Extract<ViewerMessage, { readonly type: 'subscribe' }>;

interface Subscription {
  readonly found: FoundChannel;
  /** Who follows it: the connection's identity, or that widened by a channel token. */
  principal: Principal;
  readonly hasToken: boolean;
  /** The definition's `join` has been called, and `leave` is owed. */
  hasJoined: boolean;
  open: OpenChannel | null;
  /** Null while it is being made. */
  cursor: Cursor | null;
  /** Counts presence messages; -1 when they are not wanted. */
  presenceRevision: number;
  /** As whom it is present. */
  memberId: string | null;
}

interface Wish {
  readonly id: number;
  readonly position: Position | null;
  readonly last: number | null;
  readonly hasPresence: boolean;
  /** JSON text. */
  readonly state: string;
  readonly token: string | null;
  /** Of a pattern: how many channels it became. */
  readonly of: number | null;
}

export class Subscriptions {
  private readonly viewer: Viewer;
  private readonly byName = new Map<string, Subscription>();
  private joined: Subscription[] = [];
  /** Names that are asked for and subscriptions that are made, also those that were given up meanwhile. */
  private underWay = 0;
  /** Where the next batch begins. */
  private firstTurn = 0;

  constructor(viewer: Viewer) {
    this.viewer = viewer;
  }

  subscribe(message: SubscribeMessage, principal: Principal): void {
    const { channel, id } = message;
    const { host } = this.viewer;
    const wish = wishOf(message);
    if (!wish.ok) return this.viewer.refuse(wish.error, id);
    // Each asks rules, which ask the database: giving up and asking anew must not make them pile up.
    if (this.underWay >= host.limits.subscribesUnderWay) {
      host.counters.overloads++;
      const error = `at most ${host.limits.subscribesUnderWay} subscriptions are made at a time on a connection`;
      return this.viewer.refuse({ code: 'overloaded', message: error }, id);
    }
    const { positionOf, ...rest } = wish.value;
    if (!channel.includes('*')) {
      const found = host.channels.find(channel);
      if (found === null) return this.refuse(id, 'not-found', 'no channel has this name');
      return this.follow(found, principal, { ...rest, position: positionOf(channel) });
    }
    // It adds to one channel, and is verified for each that is followed.
    if (message.token !== undefined)
      return this.viewer.refuse(
        {
          code: 'invalid-field',
          field: '/token',
          message: 'a channel token is for one channel, not a pattern',
        },
        id,
      );
    if (message.position !== undefined)
      return this.viewer.refuse(
        { code: 'invalid-field', field: '/position', message: 'a pattern takes a cursor instead' },
        id,
      );
    const most = host.limits.subscriptionsPerViewer;
    this.underWay++;
    const expanding = host.channels.expand(channel, principal, most).finally(() => this.underWay--);
    expanding.then(
      (expanded) => {
        if (this.viewer.isClosed) return;
        if (!expanded.ok) return this.viewer.refuse({ field: '/channel', ...expanded.error }, id);
        const of = expanded.value.length;
        if (of === 0) return this.refuse(id, 'not-found', 'there is no such channel now');
        for (const found of expanded.value)
          this.follow(found, principal, { ...rest, position: positionOf(found.name), of });
      },
      (cause: unknown) => this.viewer.refuse(wireErrorOf(cause, host.onFailure), id),
    );
  }

  /** Of the channel nothing more is given from now on. */
  unsubscribe(name: string): void {
    const subscription = this.byName.get(name);
    if (subscription === undefined) return;
    this.byName.delete(name);
    this.joined = this.joined.filter((one) => one !== subscription);
    this.release(subscription);
  }

  /** Fills the batch from all channels. */
  pull(batch: Batch): Pulled {
    const { joined } = this;
    for (let i = 0; i < joined.length; i++) {
      const at = (this.firstTurn + i) % joined.length;
      const one = joined[at]!;
      let pulled = one.open!.channel.pull(one.cursor!, batch);
      if (pulled === 'all' && one.presenceRevision >= 0)
        pulled = one.open!.presence?.pull(one, batch) ?? 'all';
      if (pulled === 'all') continue;
      this.firstTurn = at;
      return pulled;
    }
    return 'all';
  }

  /** True when something that it misses is kept no more. */
  isBehind(): boolean {
    return this.joined.some(({ open, cursor }) => open!.channel.isBehind(cursor!));
  }

  /** Ends what channel tokens gave that have ended. */
  endExpired(nowUs: number): void {
    for (const [name, { principal, hasToken }] of this.byName)
      if (hasToken && principal.expiresAtUs <= nowUs) this.endByServer(name, 'unauthenticated');
  }

  /** Ends what channel tokens gave that were revoked. */
  endRevoked(isConcerned: (principal: Principal) => boolean): void {
    for (const [name, { principal, hasToken }] of this.byName)
      if (hasToken && isConcerned(principal)) this.endByServer(name, 'unauthenticated');
  }

  /** Goes on under another identity of the same subject, as far as its permissions reach. */
  async refresh(principal: Principal): Promise<void> {
    const { channels } = this.viewer.host;
    // Those that are subscribed meanwhile are asked once more than needed.
    for (const one of this.byName.values()) {
      if (!one.hasToken) one.principal = principal;
      const allowed = await channels.allow(one.found, one.principal, 'subscribe');
      if (this.byName.get(one.found.name) !== one || allowed.ok) continue;
      this.endByServer(one.found.name, allowed.error.code);
    }
  }

  /** Changes what others see of it. False when it does not follow the channel, or has no presence there. */
  async state(name: string, state: string): Promise<boolean> {
    const one = this.byName.get(name);
    if (one === undefined || one.memberId === null) return false;
    await this.enter(one, one.memberId, state);
    return true;
  }

  /** Leaves every channel and forgets what is being asked. */
  end(): void {
    const all = [...this.byName.values()];
    this.byName.clear();
    this.joined = [];
    for (const one of all) this.release(one);
  }

  private refuse(id: number, code: WireError['code'], message: string): void {
    this.viewer.refuse({ code, message, field: '/channel' }, id);
  }

  private endByServer(name: string, code: string): void {
    this.unsubscribe(name);
    this.viewer.reply({ type: 'unsubscribed', channel: name, code });
  }

  private follow(found: FoundChannel, principal: Principal, wish: Wish): void {
    const { name, definition } = found;
    const { limits, onFailure } = this.viewer.host;
    const { id } = wish;
    const existing = this.byName.get(name);
    if (existing !== undefined) {
      if (existing.cursor === null) return this.refuse(id, 'conflict', 'this subscription is being made');
      const position = existing.open!.channel.positionOf(existing.cursor);
      return this.tell(existing, wish, { position, isRecovered: null });
    }
    if (definition.encoding === 'readings' && this.viewer.options.isTextOnly === true)
      return this.refuse(id, 'invalid-field', 'this channel carries binary messages: use a WebSocket');
    if (this.byName.size >= limits.subscriptionsPerViewer)
      return this.refuse(
        id,
        'limit-exceeded',
        `at most ${limits.subscriptionsPerViewer} subscriptions a connection`,
      );
    const subscription: Subscription = {
      found,
      principal,
      hasToken: wish.token !== null,
      hasJoined: false,
      open: null,
      cursor: null,
      presenceRevision: -1,
      memberId: null,
    };
    this.byName.set(name, subscription);
    this.underWay++;
    void this.establish(subscription, wish)
      .finally(() => this.underWay--)
      .catch((cause: unknown) => fail(wireErrorOf(cause, onFailure)))
      .then((established) => {
        if (established.ok) return;
        // What was joined on the way is given up; who unsubscribed meanwhile may have asked for it again.
        if (this.byName.get(name) === subscription) this.byName.delete(name);
        this.release(subscription);
        this.viewer.refuse({ field: '/channel', ...established.error }, id);
      });
  }

  /** All the steps of one subscription; each may find that it is not wanted any more. */
  private async establish(one: Subscription, wish: Wish): Promise<Result<null, WireError>> {
    const { host, options } = this.viewer;
    const { found } = one;
    const { definition } = found;
    const isWanted = (): boolean => this.byName.get(found.name) === one;
    const given = fail({ code: 'conflict', message: 'unsubscribed meanwhile' } as const);
    if (wish.token !== null) {
      const widened = await host.channelToken(wish.token, found.name, one.principal);
      if (!widened.ok) return fail({ field: '/token', ...widened.error });
      one.principal = widened.value;
    }
    const allowed = await host.channels.allow(found, one.principal, 'subscribe');
    if (!allowed.ok) return allowed;
    const hasPresence = (definition.presence ?? 'none') !== 'none';
    if (wish.hasPresence && hasPresence) {
      const seen = await host.channels.allow(found, one.principal, 'presence');
      if (!seen.ok) return fail({ ...seen.error, field: '/presence' });
    }
    if (!isWanted()) return given;
    const joined = await host.channels.join(found, one.principal);
    if (!joined.ok) return joined;
    one.hasJoined = true;
    if (!isWanted()) return given;
    const opened = host.open.join(found, one.principal.orgId, this.viewer);
    one.open = opened;
    const started = await opened.channel.start(wish);
    if (!isWanted()) return given;
    one.cursor = started.cursor;
    this.joined.push(one);
    if (wish.hasPresence && host.open.presenceOf(opened) !== null) one.presenceRevision = 0;
    this.tell(one, wish, started);
    if (hasPresence && options.isVisitor !== true) {
      one.memberId = host.memberId();
      void this.enter(one, one.memberId, wish.state).catch((cause: unknown) => this.presenceFailed(cause));
    }
    this.viewer.wake();
    return ok(null);
  }

  private tell(one: Subscription, wish: Wish, { position, isRecovered }: Omit<Started, 'cursor'>): void {
    const { channel } = one.open!;
    this.viewer.reply({
      type: 'subscribed',
      id: wish.id,
      channel: channel.name,
      number: channel.number,
      lossClass: channel.lossClass,
      ...(position === null ? {} : { position }),
      ...(isRecovered === null ? {} : { recovered: isRecovered }),
      ...(wish.of === null ? {} : { of: wish.of }),
    });
  }

  private enter({ open, principal }: Subscription, id: string, state: string): Promise<void> {
    const { presence } = this.viewer.host.channels;
    return presence.enter(open!.address, { id, subject: principal.subject, state });
  }

  /** Gives back whatever was taken for it; more than once does nothing. */
  private release(one: Subscription): void {
    const { channels, open } = this.viewer.host;
    if (one.open !== null) {
      open.leave(one.open, this.viewer);
      if (one.memberId !== null)
        channels.presence
          .leave(one.open.address, one.memberId)
          .catch((cause: unknown) => this.presenceFailed(cause));
    }
    if (one.hasJoined) channels.leave(one.found, one.principal);
    one.open = null;
    one.memberId = null;
    one.hasJoined = false;
  }

  /** A member that could not be put in is missing until it says its state; one that could not be taken out ends with its lease. */
  private presenceFailed(cause: unknown): void {
    const { counters, onFailure } = this.viewer.host;
    counters.presenceFailures++;
    wireErrorOf(cause, onFailure);
  }
}

/** What a member says of itself as JSON text, if it is not too long. */
export function stateText(state: unknown): Result<string, WireError> {
  const text = JSON.stringify(state ?? null);
  return Buffer.byteLength(text) <= presenceLimits.stateBytes
    ? ok(text)
    : fail({
        code: 'invalid-field',
        field: '/state',
        message: `at most ${presenceLimits.stateBytes} bytes as JSON`,
      });
}

type UnplacedWish = Omit<Wish, 'position'> & { readonly positionOf: (channel: string) => Position | null };

function wishOf(message: SubscribeMessage): Result<UnplacedWish, WireError> {
  const state = stateText(message.state);
  if (!state.ok) return state;
  const cursor = message.cursor === undefined ? null : decodeCursor(message.cursor);
  if (message.cursor !== undefined && cursor === null)
    return fail({ code: 'invalid-field', field: '/cursor', message: 'is no cursor of this server' });
  const { id, position, last = null, presence = false, token = null } = message;
  return ok({
    id,
    positionOf: (channel) => position ?? cursor?.positionOf(channel) ?? null,
    last,
    hasPresence: presence,
    state: state.value,
    token,
    of: null,
  });
}

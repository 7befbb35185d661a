/**
 * Owns one viewer's connection as a state machine without sockets: requests in; replies at once, and at each tick one
 * write of what the viewer misses, out. Beyond the high-water mark of unsent bytes the viewer is skipped, and it goes
 * on when half has drained. Requests are limited in rate; a flood closes. One class, since there may be a hundred
 * thousand: methods are shared, and an idle viewer is little more than its fields.
 */

import type { Allowance } from '#base/allowance.ts';
import type { Clock } from '#base/clock.ts';
import type { Result } from '#base/result.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import type { Principal } from '#contract/principal.ts';
import type { MessageParser } from '#contract/validation.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Batch, Puller } from '#live/channel.ts';
import type { Channels } from '#live/channels.ts';
import { countLabel, type HubCounters } from '#live/counters.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { OpenChannels } from '#live/open-channels.ts';
import { encodeControl } from '#live/outgoing.ts';
import type { SubjectAllowances } from '#live/subject-allowances.ts';
import type { ConnectOptions, Outgoing, Transport, ViewerPort } from '#live/transport.ts';
import { ask } from '#live/viewer-requests.ts';
import { Subscriptions } from '#live/viewer-subscriptions.ts';
import { wireErrorOf } from '#live/wire-error.ts';

/** What viewers need of their hub; one object for all of them. */
export interface ViewerHost {
  readonly clock: Clock;
  readonly limits: HubLimits;
  readonly counters: HubCounters;
  readonly parse: MessageParser<ViewerMessage>;
  readonly channels: Channels;
  readonly open: OpenChannels;
  readonly subjects: SubjectAllowances;
  authenticate(key: string, address: string): Promise<Principal | null>;
  /** The identity widened by a channel token. */
  channelToken(token: string, channel: string, principal: Principal): Promise<Result<Principal, WireError>>;
  /** An id for one connection in one channel, unlike any other of any instance. */
  memberId(): string;
  onFailure(cause: unknown): void;
  /** The viewer takes no more part. */
  closed(viewer: Viewer): void;
  /** The transport's connection is gone. */
  ended(viewer: Viewer): void;
}

const nothing: ConnectOptions = {};

/** What of a write is not a reply: messages of channels, and pages that were asked for. */
interface Share {
  readonly dataBytes: number;
  readonly answerBytes: number;
}

export class Viewer implements ViewerPort, Puller {
  readonly host: ViewerHost;
  readonly options: ConnectOptions;
  /** Null until hello said it. */
  principal: Principal | null;
  /** True when it has not been given all that its channels hold. */
  isLagging = false;
  isClosed = false;
  /** What was asked of channels and is not answered. */
  underWay = 0;
  /** What it published last in a channel, while that is under way. */
  publishing: Map<string, Promise<unknown>> | null = null;
  subscriptions: Subscriptions | null = null;
  private readonly transport: Transport;
  /** Replies that leave with the next tick, and their bytes. */
  private waiting: Outgoing[] | null = null;
  private waitingBytes = 0;
  private allowance: Allowance | null = null;
  private isGreeting = false;
  private isDismissed = false;
  private unsentBytes = 0;
  private unsentReplyBytes = 0;
  private unsentAnswerBytes = 0;
  private writtenMs: number;
  private heardMs: number;
  private tokens: number;
  private filledMs: number;
  private readonly connectedMs: number;

  constructor(host: ViewerHost, transport: Transport, principal: Principal | null, options = nothing) {
    this.host = host;
    this.transport = transport;
    this.principal = principal;
    this.options = options;
    const nowMs = host.clock.monotonicMs();
    this.writtenMs = nowMs;
    this.heardMs = nowMs;
    this.filledMs = nowMs;
    this.connectedMs = nowMs;
    this.tokens = host.limits.requestBurst;
  }

  /** The first message: the connection is good. */
  welcome(): void {
    const { clock, limits } = this.host;
    const { expiresAtUs = Infinity } = this.principal ?? {};
    this.reply({
      type: 'welcome',
      serverUs: clock.nowUs(),
      heartbeatMs: limits.heartbeatMs,
      ...(Number.isFinite(expiresAtUs) ? { expiresAtUs } : {}),
    });
  }

  receiveText(text: string): void {
    if (!this.admit()) return;
    const receivedUs = this.host.clock.nowUs();
    const message = this.host.parse(text);
    if (message.ok) this.handle(message.value, receivedUs);
    else this.refuse(message.error, requestIdOf(text));
  }

  receive(message: ViewerMessage): void {
    if (this.admit()) this.handle(message, this.host.clock.nowUs());
  }

  receiveBinary(): void {
    if (this.admit()) this.refuse({ code: 'malformed-message', message: 'viewers send text messages only' });
  }

  heard(): void {
    this.admit();
  }

  ended(): void {
    this.close('peer');
    this.host.ended(this);
  }

  /** Asks for a flush at the next tick. */
  wake(): void {
    if (!this.isClosed) this.host.open.ready(this);
  }

  /** Gives the viewer what it misses, unless it is too far behind to take it. */
  flush(): void {
    const { subscriptions } = this;
    if (this.isClosed) return;
    if (subscriptions === null) return this.sendWaiting();
    const { limits } = this.host;
    if (this.unsentBytes > limits.highWaterBytes) {
      this.sendWaiting();
      this.setLagging(true);
      if (subscriptions.isBehind()) this.close('slowConsumer');
      return;
    }
    const batch: Batch = { items: [], bytes: 0, maxBytes: limits.batchBytes, puller: this, caughtUp: null };
    const pulled = subscriptions.pull(batch);
    if (pulled === 'behind') return this.close('slowConsumer');
    this.setLagging(pulled === 'more');
    if (batch.items.length > 0) this.write(batch.items, { dataBytes: batch.bytes, answerBytes: 0 });
    else this.sendWaiting();
    if (batch.caughtUp !== null) for (const channel of batch.caughtUp) this.transport.caughtUp?.(channel);
  }

  /** Looks at the time: sends a heartbeat when nothing else was sent, closes when nothing was heard or the identity ended. */
  checkPulse(nowMs: number, nowUs: number): void {
    const { limits } = this.host;
    if (this.principal === null) {
      if (nowMs - this.connectedMs >= limits.helloMs) this.close('helloTimeout');
      return;
    }
    if (this.principal.expiresAtUs <= nowUs) return this.close('expired');
    this.subscriptions?.endExpired(nowUs);
    const silentMs = this.options.isOneWay === true ? 0 : nowMs - this.heardMs;
    if (silentMs > 3 * limits.heartbeatMs) return this.close('silent');
    // Programs that only listen know nothing of heartbeats, but their WebSocket answers a ping.
    if (silentMs >= limits.heartbeatMs && this.unsentBytes === 0) this.transport.ping?.();
    // Whoever has not taken the last write needs no sign of life behind it.
    if (this.unsentBytes === 0 && nowMs - this.writtenMs >= limits.heartbeatMs)
      this.reply({ type: 'heartbeat' });
  }

  /** Asks the viewer to go, finishes what it asked for, and closes. */
  dismiss(): void {
    if (this.isClosed) return;
    this.isDismissed = true;
    this.reply({ type: 'bye', afterMs: 0 });
    if (this.underWay === 0) this.close('restarting');
    else this.host.clock.after(this.host.limits.drainGraceMs, () => this.close('restarting'));
  }

  close(reason: CloseReason | 'peer'): void {
    if (this.isClosed) return;
    this.sendWaiting();
    this.isClosed = true;
    const { counters } = this.host;
    this.subscriptions?.end();
    if (this.principal !== null && this.allowance !== null) this.host.subjects.release(this.principal);
    this.setLagging(false);
    countLabel(counters.closesByReason, reason);
    this.host.closed(this);
    if (reason !== 'peer') this.transport.close(reason);
  }

  /** Sends at once, ahead of the next tick. `answer`: a page that was asked for, with a bound of its own. */
  reply(message: HubMessage, kind: 'reply' | 'answer' = 'reply'): void {
    if (this.isClosed) return;
    if (kind === 'reply') return this.enqueue(message) ? this.sendWaiting() : undefined;
    const item = encodeControl(message);
    const answerBytes = item.framed.length;
    if (this.unsentAnswerBytes + answerBytes > this.host.limits.answersUnsentBytes)
      this.close('slowConsumer');
    else this.write([item], { dataBytes: 0, answerBytes });
  }

  /** Sends with the next tick, in the same write as what its channels have for it. */
  replySoon(message: HubMessage): void {
    if (!this.isClosed && this.enqueue(message)) this.wake();
  }

  refuse(error: WireError, id?: number): void {
    if (this.isClosed) return;
    countLabel(this.host.counters.errorsByCode, error.code);
    this.reply(errorMessage(error, id));
  }

  /** Whether it may publish, ask or state something now, by its own rate and by that of its subject. */
  mayAct(principal: Principal): boolean {
    const { clock, subjects } = this.host;
    this.allowance ??= subjects.take(principal);
    return this.allowance.take(clock.monotonicMs());
  }

  /** An answer was given: who was asked to go may do so after the last. */
  answered(): void {
    this.underWay--;
    this.host.counters.underWay--;
    if (this.isDismissed && this.underWay === 0) this.close('restarting');
  }

  private setLagging(value: boolean): void {
    if (value !== this.isLagging) this.host.counters.laggingViewers += value ? 1 : -1;
    this.isLagging = value;
  }

  /** False when replies have piled up and the viewer was closed for it. */
  private enqueue(message: HubMessage): boolean {
    const item = encodeControl(message);
    const bytes = item.framed.length;
    if (this.unsentReplyBytes + this.waitingBytes + bytes > this.host.limits.controlUnsentBytes) {
      this.close('slowConsumer');
      return false;
    }
    this.waitingBytes += bytes;
    if (this.waiting === null) this.waiting = [item];
    else this.waiting.push(item);
    return true;
  }

  private sendWaiting(): void {
    if (this.waiting !== null) this.write([], { dataBytes: 0, answerBytes: 0 });
  }

  /** What waits goes first, in the same write. */
  private write(more: readonly Outgoing[], { dataBytes, answerBytes }: Share): void {
    const { clock, counters, limits } = this.host;
    const items = this.waiting === null ? more : [...this.waiting, ...more];
    const replyBytes = this.waitingBytes;
    this.waiting = null;
    this.waitingBytes = 0;
    const bytes = dataBytes + replyBytes + answerBytes;
    this.unsentBytes += bytes;
    this.unsentReplyBytes += replyBytes;
    this.unsentAnswerBytes += answerBytes;
    this.writtenMs = clock.monotonicMs();
    counters.writes++;
    counters.bytesSent += bytes;
    counters.messagesSent += items.length;
    this.transport.write(items, () => {
      this.unsentBytes -= bytes;
      this.unsentReplyBytes -= replyBytes;
      this.unsentAnswerBytes -= answerBytes;
      if (this.isLagging && !this.isClosed && this.unsentBytes <= limits.highWaterBytes / 2) this.wake();
    });
  }

  /** A token bucket: `requestBurst` at once, refilled with `requestsPerSecond`. Who was closed is not heard. */
  private admit(): boolean {
    if (this.isClosed) return false;
    const { clock, limits, counters } = this.host;
    counters.requests++;
    const nowMs = clock.monotonicMs();
    this.heardMs = nowMs;
    const refill = ((nowMs - this.filledMs) / 1000) * limits.requestsPerSecond;
    this.tokens = Math.min(limits.requestBurst, this.tokens + refill) - 1;
    this.filledMs = nowMs;
    if (this.tokens >= 0) return true;
    this.refuse({ code: 'limit-exceeded', message: `at most ${limits.requestsPerSecond} requests a second` });
    this.close('protocol');
    return false;
  }

  private handle(message: ViewerMessage, receivedUs: number): void {
    const { principal } = this;
    if (principal === null) return this.greet(message);
    switch (message.type) {
      case 'subscribe':
        this.subscriptions ??= new Subscriptions(this);
        return this.subscriptions.subscribe(message, principal);
      case 'unsubscribe':
        this.subscriptions?.unsubscribe(message.channel);
        return this.reply({ type: 'unsubscribed', id: message.id, channel: message.channel });
      case 'probe': {
        const { id, t0Us } = message;
        return this.reply({ type: 'probe', id, t0Us, t1Us: receivedUs, t2Us: this.host.clock.nowUs() });
      }
      case 'hello':
        return this.refuse({ code: 'already-greeted', message: 'the connection is already authenticated' });
      case 'heartbeat':
        return;
      default:
        if (this.isDismissed)
          this.refuse({ code: 'draining', message: 'this instance is stopping' }, message.id);
        else ask(this, principal, message);
    }
  }

  /** The first message of a connection whose handshake did not say who it is. */
  private greet(message: ViewerMessage): void {
    if (message.type !== 'hello' || this.isGreeting) {
      if (message.type === 'heartbeat') return;
      const id = 'id' in message ? message.id : undefined;
      return this.refuse({ code: 'hello-required', message: 'say hello, and wait for welcome' }, id);
    }
    this.isGreeting = true;
    this.host.authenticate(message.key, this.options.address ?? '').then(
      (principal) => {
        if (this.isClosed) return;
        if (principal === null) {
          this.refuse({ code: 'unauthenticated', message: 'no valid key or token', field: '/key' });
          return this.close('unauthenticated');
        }
        this.principal = principal;
        this.options.greeted?.();
        this.welcome();
      },
      (cause: unknown) => {
        this.refuse(wireErrorOf(cause, this.host.onFailure));
        this.close('internal');
      },
    );
  }
}

function errorMessage(error: WireError, id: number | undefined) {
  return {
    type: 'error' as const,
    code: error.code,
    // The schema's bounds; what others wrote may be longer.
    message: error.message.slice(0, 1024),
    ...(error.field === undefined ? {} : { field: error.field.slice(0, 256) }),
    ...(id === undefined ? {} : { id }),
  };
}

/** The request number of a message that did not match its schema, so that the viewer can tell which one failed. */
function requestIdOf(text: string): number | undefined {
  try {
    const id = (JSON.parse(text) as { id?: unknown } | null)?.id;
    return typeof id === 'number' && id === id >>> 0 ? id : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Owns what a viewer asks of channels beside following them: publish, request, history, members, state, refresh. Each gets one
 * answer within `requestMs`. Bounded by the viewer's rate and by `underWayPerViewer`; what one viewer publishes in
 * one channel keeps its order.
 */

import { fail, ok, type Result } from '#base/result.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import type { Principal } from '#contract/principal.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { HistoryPage, HistoryQuery, Publication } from '#protocol/publication.ts';
import { presentMember } from '#live/channel-presence.ts';
import type { FoundChannel } from '#live/channels.ts';
import { inTime } from '#live/in-time.ts';
import { stateText } from '#live/viewer-subscriptions.ts';
import type { Viewer } from '#live/viewer.ts';
import { wireErrorOf } from '#live/wire-error.ts';

type Asked<T extends ViewerMessage['type']> = Extract<ViewerMessage, { readonly type: T }>;
export type Request = Asked<'publish' | 'request' | 'history' | 'members' | 'state' | 'refresh'>;
type Answer = Result<HubMessage, WireError>;

/** Messages of a page when the viewer does not say how many. */
const PAGE_MESSAGES = 50;

/** Answers the request, now or later. */
export function ask(viewer: Viewer, principal: Principal, request: Request): void {
  const { host } = viewer;
  const { counters, limits, clock } = host;
  const { id } = request;
  if (!viewer.mayAct(principal))
    return viewer.refuse({ code: 'rate-limited', message: 'too many in a short time; the rest waits' }, id);
  if (viewer.underWay >= limits.underWayPerViewer) {
    counters.overloads++;
    const message = `at most ${limits.underWayPerViewer} requests under way on a connection`;
    return viewer.refuse({ code: 'overloaded', message }, id);
  }
  viewer.underWay++;
  counters.underWay++;
  void inTime(clock, limits.requestMs, answerOf(viewer, principal, request))
    .catch((cause: unknown): Answer => fail(wireErrorOf(cause, host.onFailure)))
    .then((answer) => {
      if (!answer.ok) viewer.refuse(answer.error, id);
      else if (answer.value.type === 'history' || answer.value.type === 'members')
        viewer.reply(answer.value, 'answer');
      // Its author mostly follows the channel, and is given a write at the next tick anyway.
      else if (answer.value.type === 'published') viewer.replySoon(answer.value);
      else viewer.reply(answer.value);
      viewer.answered();
    });
}

async function answerOf(viewer: Viewer, principal: Principal, request: Request): Promise<Answer> {
  if (request.type === 'refresh') return refresh(viewer, principal, request);
  const found = viewer.host.channels.find(request.channel);
  if (found === null)
    return fail({ code: 'not-found', message: 'no channel has this name', field: '/channel' });
  switch (request.type) {
    case 'publish':
      return inOrder(viewer, found.name, () => publish(viewer, { found, principal }, request));
    case 'request': {
      const { id, name, data } = request;
      const answered = await viewer.host.channels.request(found, principal, { name, data });
      return answered.ok ? ok({ type: 'response', id, data: answered.value ?? null }) : answered;
    }
    case 'history':
      return history(viewer, { found, principal }, request);
    case 'members': {
      const members = await viewer.host.channels.members(found, principal);
      if (!members.ok) return members;
      const { count, members: listed } = members.value;
      const { id, channel } = request;
      return ok({ type: 'members', id, channel, count, members: listed.map(presentMember) });
    }
    case 'state': {
      const state = stateText(request.state);
      if (!state.ok) return state;
      const isThere = (await viewer.subscriptions?.state(found.name, state.value)) ?? false;
      if (isThere) return ok({ type: 'stated', id: request.id });
      return fail({ code: 'conflict', message: 'not present in this channel', field: '/channel' });
    }
  }
}

interface Where {
  readonly found: FoundChannel;
  readonly principal: Principal;
}

async function publish(viewer: Viewer, where: Where, message: Asked<'publish'>): Promise<Answer> {
  const { id, event, data, key } = message;
  const published = await viewer.host.channels.publish(where.found, where.principal, { event, data, key });
  if (!published.ok) return published;
  const { position, isDuplicate } = published.value;
  return ok({
    type: 'published',
    id,
    ...(position === null ? {} : { position: { epoch: position.epoch, offset: position.offset } }),
    ...(isDuplicate ? { isDuplicate } : {}),
  });
}

/** Begins when what the viewer published before in this channel has ended, in whatever way. */
function inOrder(viewer: Viewer, channel: string, act: () => Promise<Answer>): Promise<Answer> {
  const publishing = (viewer.publishing ??= new Map());
  const before = publishing.get(channel);
  const mine = before === undefined ? act() : before.then(act, act);
  publishing.set(channel, mine);
  return mine.finally(() => {
    if (publishing.get(channel) === mine) publishing.delete(channel);
  });
}

async function history(viewer: Viewer, where: Where, message: Asked<'history'>): Promise<Answer> {
  const { id, channel, before, after, limit = PAGE_MESSAGES } = message;
  if (before !== undefined && after !== undefined)
    return fail({ code: 'invalid-field', message: 'either before or after', field: '/after' });
  const query: HistoryQuery =
    after !== undefined
      ? { after, limit }
      : before !== undefined
        ? { before, limit }
        : { newest: true, limit };
  const read = await viewer.host.channels.history(where.found, where.principal, query);
  if (!read.ok) return read;
  const { epoch, newest, oldest } = read.value;
  return ok({
    type: 'history',
    id,
    channel,
    position: { epoch, offset: newest },
    oldest,
    messages: fitting(read.value, after === undefined, viewer.host.limits.historyBytes).map(keptMessage),
  });
}

/** As many as fit, from the side that was asked for. */
function fitting(
  { publications }: HistoryPage,
  isFromEnd: boolean,
  maxBytes: number,
): readonly Publication[] {
  const ordered = isFromEnd ? publications.toReversed() : publications;
  let bytes = 0;
  let count = 0;
  for (const { payload } of ordered) {
    bytes += payload.length;
    if (bytes > maxBytes && count > 0) break;
    count++;
  }
  const fit = ordered.slice(0, count);
  return isFromEnd ? fit.toReversed() : fit;
}

type KeptMessage = Extract<HubMessage, { readonly type: 'history' }>['messages'][number];

function keptMessage({ offset, timeUs, payload }: Publication): KeptMessage {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString();
  return { offset, timeUs, ...(JSON.parse(text) as Pick<KeptMessage, 'event' | 'data'>) };
}

async function refresh(viewer: Viewer, principal: Principal, message: Asked<'refresh'>): Promise<Answer> {
  const { host } = viewer;
  const renewed = await host.authenticate(message.key, viewer.options.address ?? '');
  if (renewed === null)
    return fail({ code: 'unauthenticated', message: 'no valid key or token', field: '/key' });
  const isSame =
    renewed.orgId === principal.orgId &&
    renewed.subject === principal.subject &&
    renewed.kind === principal.kind;
  if (!isSame) return fail({ code: 'forbidden', message: 'this is of another subject', field: '/key' });
  if (!viewer.isClosed) viewer.principal = renewed;
  await viewer.subscriptions?.refresh(renewed);
  const { expiresAtUs } = renewed;
  return ok({
    type: 'refreshed',
    id: message.id,
    ...(Number.isFinite(expiresAtUs) ? { expiresAtUs } : {}),
  });
}

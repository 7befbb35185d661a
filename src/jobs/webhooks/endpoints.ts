/**
 * Owns what an organisation does with its webhooks: make them, with a secret that is shown once, change, rotate, remove, test,
 * and look at or repeat deliveries. Each asks `authorise` first. A secret signs both ways, so the database has to hold it: sealed
 * under a key that it does not hold.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type {
  WebhookDelivery,
  WebhookDeliveryPage,
  WebhookEndpoint,
  WebhookEndpointChange,
  WebhookEndpointPage,
  WebhookEndpointRequest,
  WebhookSecret,
} from '#contract/webhooks.ts';
import { enqueueStatements } from '#store/job-queue.ts';
import type { Statement } from '#store/pools.ts';
import { deliveryJob } from '#store/webhook-events.ts';
import type { Page, WebhookQueries } from '#store/webhook-queries.ts';
import { parseTarget, type TargetRules } from '#jobs/webhooks/target.ts';

const SECRET_BYTES = 32;
const GRACE_SECONDS = 86_400;

export interface Webhooks {
  /** Null: the cursor is none. */
  list(actor: Principal, page: Page): Promise<WebhookEndpointPage | null>;
  create(actor: Principal, request: WebhookEndpointRequest): Promise<WebhookSecret>;
  change(actor: Principal, id: string, change: WebhookEndpointChange): Promise<WebhookEndpoint>;
  rotate(actor: Principal, id: string, graceSeconds?: number): Promise<WebhookSecret>;
  remove(actor: Principal, id: string): Promise<void>;
  deliveries(
    actor: Principal,
    id: string,
    page: Page & { readonly state: WebhookDelivery['state'] | null },
  ): Promise<WebhookDeliveryPage | null>;
  /** Tells this endpoint alone that it is being tested. */
  test(actor: Principal, id: string): Promise<void>;
  redeliver(actor: Principal, id: string, deliveryId: string): Promise<void>;
}

/** How secrets are kept (identity/sealed-texts.ts). `owner`: the endpoint's id. */
export interface WebhookSecrets {
  seal(secret: string, owner: string): Promise<string>;
  /** Throws AppError when this server cannot. */
  open(kept: string, owner: string): Promise<string>;
  /** False: it stands there in clear, from before secrets were sealed. */
  isSealed(kept: string): boolean;
}

export interface WebhooksParts {
  readonly queries: WebhookQueries;
  readonly clock: Clock;
  readonly rules: TargetRules;
  /** So many random bytes, fit for secrets. */
  readonly secretBytes: (count: number) => Uint8Array;
  readonly secrets: WebhookSecrets;
}

export function createWebhooks({ queries, clock, rules, secretBytes, secrets }: WebhooksParts): Webhooks {
  const newSecret = (): string => `whsec_${Buffer.from(secretBytes(SECRET_BYTES)).toString('base64')}`;
  const wake = (): Statement[] =>
    enqueueStatements({ ...deliveryJob, id: uuidv7(clock), input: {}, coalesceKey: 'webhooks' });
  return {
    async list(actor, page) {
      authorise(actor, 'organisation.manage', null);
      return queries.list(actor, page);
    },
    async create(actor, { url, description = '', events = [] }) {
      authorise(actor, 'organisation.manage', null);
      const secret = newSecret();
      const createdBy = `${actor.kind}:${actor.subject}`;
      const target = parseTarget(url, rules).href;
      const id = uuidv7(clock);
      const sealed = await secrets.seal(secret, id);
      const made = { id, url: target, description, events, secret: sealed, createdBy };
      return { endpoint: await queries.create(actor, made), secret };
    },
    async change(actor, id, change) {
      authorise(actor, 'organisation.manage', null);
      const { url, ...rest } = change;
      const target = url === undefined ? {} : { url: parseTarget(url, rules).href };
      return found(await queries.change(actor, id, { ...rest, ...target }));
    },
    async rotate(actor, id, graceSeconds = GRACE_SECONDS) {
      authorise(actor, 'organisation.manage', null);
      const secret = newSecret();
      const rotation = { secret: await secrets.seal(secret, id), graceSeconds };
      return { endpoint: found(await queries.rotate(actor, id, rotation)), secret };
    },
    async remove(actor, id) {
      authorise(actor, 'organisation.manage', null);
      if (!(await queries.remove(actor, id))) throw missing();
    },
    async deliveries(actor, id, page) {
      authorise(actor, 'organisation.manage', null);
      const given = await queries.deliveries(actor, id, page);
      if (given === undefined) throw missing();
      return given;
    },
    async test(actor, id) {
      authorise(actor, 'organisation.manage', null);
      const timestamp = new Date(clock.nowUs() / 1000).toISOString();
      const payload = JSON.stringify({ type: 'endpoint.test', timestamp, data: { endpoint: id } });
      const test = { id: uuidv7(clock), eventId: uuidv7(clock), endpointId: id, payload };
      if (!(await queries.test(actor, test, wake()))) throw missing();
    },
    async redeliver(actor, id, deliveryId) {
      authorise(actor, 'organisation.manage', null);
      const again = { id: uuidv7(clock), endpointId: id, deliveryId };
      if (!(await queries.redeliver(actor, again, wake())))
        throw new AppError('not-found', 'there is no such delivery');
    },
  };
}

function missing(): AppError {
  return new AppError('not-found', 'there is no such webhook');
}

function found<T>(value: T | null): T {
  if (value === null) throw missing();
  return value;
}

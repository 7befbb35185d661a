/** Owns devices over HTTP: making one shows its key once, revoking one closes what it has open. */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { invalidCursor } from '#clinic/json-pages.ts';
import { DeviceCreated, DevicePage, DeviceRequest, DeviceRotation, Id } from '#contract/rest.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';

const config = { access: 'device.manage' } as const;
const readConfig = { access: 'device.read' } as const;
const tags = ['devices'];
/** Long enough to bring the new key to a device that lies in a drawer of the clinic. */
const DEFAULT_GRACE_S = 86_400;

export function addDeviceRoutes(
  api: Api,
  { accounts, identity, onDeviceRevoked, onRevoked }: ApiOptions,
): void {
  api.post('/v1/devices', {
    config,
    schema: {
      tags,
      operationId: 'createDevice',
      summary: 'A new device; its key is shown this once',
      security: security('device.manage'),
      body: DeviceRequest,
      response: answers({ 201: DeviceCreated }, { ...config, refusals: [400, 413, 415] }),
    },
    handler: async (request, reply) =>
      reply.code(201).send(await accounts.createDevice(principalOf(request).orgId, request.body.name)),
  });

  api.get('/v1/devices', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'listDevices',
      summary: 'Devices, newest first',
      security: security('device.read'),
      querystring: Type.Object(pageQuery, { additionalProperties: false }),
      response: answers({ 200: DevicePage }, { ...readConfig, refusals: [400] }),
    },
    handler: async (request) => {
      const { limit = pageLimits.defaultItems, cursor = null } = request.query;
      const page = await accounts.listDevices(principalOf(request).orgId, { limit, cursor });
      if (page === null) throw invalidCursor();
      return page;
    },
  });

  api.put('/v1/devices/:id', {
    config,
    schema: {
      tags,
      operationId: 'renameDevice',
      summary: 'Another name for a device',
      security: security('device.manage'),
      params: Type.Object({ id: Id }),
      body: DeviceRequest,
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404, 413, 415] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      if (!(await accounts.renameDevice(principalOf(request).orgId, id, request.body.name)))
        throw new AppError('not-found', 'there is no such device');
      return reply.code(204).send(null);
    },
  });

  api.post('/v1/devices/:id/rotate', {
    config,
    schema: {
      tags,
      operationId: 'rotateDeviceKey',
      summary: 'A new key for a device, shown this once; the old one goes on for a time',
      security: security('device.manage'),
      params: Type.Object({ id: Id }),
      body: DeviceRotation,
      response: answers({ 200: DeviceCreated }, { ...config, refusals: [400, 404, 413, 415] }),
    },
    handler: async (request) => {
      const id = request.params.id.toLowerCase();
      const { graceSeconds = DEFAULT_GRACE_S } = request.body;
      const { orgId } = principalOf(request);
      const made = await accounts.rotateDeviceKey(orgId, id, graceSeconds);
      if (made === null) throw new AppError('not-found', 'there is no such device, or it was revoked');
      identity.forget(id);
      if (graceSeconds === 0) {
        onDeviceRevoked(id);
        onRevoked({ orgId, exchangedId: id });
      }
      return made;
    },
  });

  api.delete('/v1/devices/:id', {
    config,
    schema: {
      tags,
      operationId: 'revokeDevice',
      summary: 'Refuse a device from now on; what it sent stays',
      security: security('device.manage'),
      params: Type.Object({ id: Id }),
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { orgId } = principalOf(request);
      const id = request.params.id.toLowerCase();
      if (!(await accounts.revokeDevice(orgId, id)))
        throw new AppError('not-found', 'there is no such device');
      identity.forget(id);
      onDeviceRevoked(id);
      // What it follows as a viewer, and whatever it has open on other instances.
      onRevoked({ orgId, keyId: id });
      return reply.code(204).send(null);
    },
  });
}

/**
 * Owns motion over HTTP: what the analysis found in a session's committed readings, the body model that it goes by, and the
 * wish for an analysis from the beginning.
 */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import {
  AnalysisAsked,
  BodyModelRequest,
  MotionAnalysis,
  SessionBodyModel,
  type BodyModel,
} from '#contract/motion.ts';
import { Id } from '#contract/rest.ts';
import { limits } from '#protocol/limits.ts';
import { may } from '#contract/permissions.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, security } from '#api/route-schemas.ts';

const readConfig = { access: 'session.read', subject: 'session' } as const;
const adminConfig = { access: 'session.write', subject: 'session' } as const;
const tags = ['motion'];
const params = Type.Object({ id: Id });

export const motionLimits = {
  defaultCycles: 20,
  /** With twelve curves each, 2 MB. */
  cycles: 200,
} as const;

/** What the routes answer from. Null: the organisation has no such session. */
export interface MotionAnswers {
  analysis(
    orgId: string,
    query: {
      readonly sessionId: string;
      readonly cycles: number;
      /** Device time, half-open. */
      readonly fromUs: number;
      readonly toUs: number;
    },
  ): Promise<MotionAnalysis | null>;
  bodyModel(orgId: string, sessionId: string): Promise<Omit<SessionBodyModel, 'mayEdit'> | null>;
  /** Throws AppError `conflict` when `revision` is not the newest, `invalid-field` with the field of the request. */
  setBodyModel(
    orgId: string,
    change: {
      readonly sessionId: string;
      readonly bodyModel: BodyModel;
      readonly revision: number;
      readonly madeBy: string;
    },
  ): Promise<Omit<SessionBodyModel, 'mayEdit'> | null>;
  /** How many were asked for by now. */
  analyseAnew(orgId: string, sessionId: string): Promise<number | null>;
}

export function addMotionRoutes(api: Api, { motion }: ApiOptions): void {
  const TimeUs = Type.Integer({ minimum: -limits.timeUsExclusive, maximum: limits.timeUsExclusive });
  api.get('/v1/sessions/:id/motion', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getMotion',
      summary: "What was found in a session's committed readings: strides, cycles, turns and figures",
      description:
        'Of windows that are analysed. `isProvisional` with its `reason` says what may still change. The range is of ' +
        'device time, in whole windows; a range of more than six hours gives the newest of it.',
      security: security('session.read'),
      params,
      querystring: Type.Object(
        {
          cycles: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: motionLimits.cycles,
              description: `newest so many; default ${motionLimits.defaultCycles}`,
            }),
          ),
          fromUs: Type.Optional(TimeUs),
          toUs: Type.Optional(TimeUs),
        },
        { additionalProperties: false },
      ),
      response: answers({ 200: MotionAnalysis }, { ...readConfig, refusals: [400, 404] }),
    },
    handler: async (request) => {
      const {
        cycles = motionLimits.defaultCycles,
        fromUs = -limits.timeUsExclusive,
        toUs = limits.timeUsExclusive,
      } = request.query;
      const sessionId = request.params.id;
      return found(await motion.analysis(principalOf(request).orgId, { sessionId, cycles, fromUs, toUs }));
    },
  });

  api.post('/v1/sessions/:id/analyses', {
    config: adminConfig,
    schema: {
      tags,
      operationId: 'analyseAnew',
      summary: 'Have a session analysed again from the beginning',
      security: security('session.write'),
      params,
      response: answers({ 202: AnalysisAsked }, { ...adminConfig, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const session = request.params.id;
      const asked = found(await motion.analyseAnew(principalOf(request).orgId, session));
      return reply.code(202).send({ session, asked });
    },
  });

  addBodyModelRoutes(api, motion);
}

function addBodyModelRoutes(api: Api, motion: MotionAnswers): void {
  api.get('/v1/sessions/:id/body-model', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getBodyModel',
      summary: 'Which stream is which segment, how each sensor sits on it, how tall the wearer is',
      security: security('session.read'),
      params,
      response: answers({ 200: SessionBodyModel }, { ...readConfig, refusals: [400, 404] }),
    },
    handler: async (request) => {
      const principal = principalOf(request);
      return {
        ...found(await motion.bodyModel(principal.orgId, request.params.id)),
        mayEdit: may(principal, 'session.write'),
      };
    },
  });

  api.put('/v1/sessions/:id/body-model', {
    config: adminConfig,
    schema: {
      tags,
      operationId: 'setBodyModel',
      summary: 'Store another body model: the session is analysed again from the beginning',
      description:
        'With the revision that it was made from; 409 `conflict` when another was stored meanwhile. `field` says what is wrong.',
      security: security('session.write'),
      params,
      body: BodyModelRequest,
      response: answers({ 200: SessionBodyModel }, { ...adminConfig, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request) => {
      const { orgId, kind, subject } = principalOf(request);
      const stored = await motion.setBodyModel(orgId, {
        ...request.body,
        sessionId: request.params.id,
        madeBy: `${kind === 'user' ? 'user' : 'key'}:${subject}`,
      });
      return { ...found(stored), mayEdit: true };
    },
  });
}

function found<T>(value: T | null): T {
  if (value === null) throw new AppError('not-found', 'there is no such session');
  return value;
}

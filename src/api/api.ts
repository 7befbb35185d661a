/**
 * Owns the HTTP server: one chain for every route (request id, security headers, authentication, validation, problem
 * details, measurement), the routes themselves, their OpenAPI document, and the web page. It answers from what it is
 * given and knows neither sockets of devices nor how readings are stored.
 */

import type { Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyHttpOptions } from 'fastify';

import { AppError } from '#base/errors.ts';
import { CHANNEL_NAME_CHARACTERS } from '#live/channel-limits.ts';
import { guardRoutes } from '#api/access.ts';
import { apiLimits, type Api, type ApiOptions } from '#api/api-options.ts';
import { addCareRoutes } from '#api/care-routes.ts';
import { addChannelRoutes } from '#api/channel-routes.ts';
import { addAnnotationRoutes } from '#api/annotation-routes.ts';
import { addAuditRoutes } from '#api/audit-routes.ts';
import { auditRoutes } from '#api/audit-chain.ts';
import { answerForeignPages } from '#api/cross-origin.ts';
import { addDeviceRoutes } from '#api/device-routes.ts';
import { addKeyRoutes } from '#api/key-routes.ts';
import { addEnvelopeRoutes } from '#api/envelope-routes.ts';
import { addExtensionRoutes } from '#api/extension-routes.ts';
import { addExportRoutes } from '#api/export-routes.ts';
import { describeRoutes } from '#api/openapi.ts';
import { answerFrameworkError, answerWithProblems } from '#api/problems.ts';
import { addJobRoutes } from '#api/job-routes.ts';
import { addMotionRoutes } from '#api/motion-routes.ts';
import { addWebhookRoutes } from '#api/webhook-routes.ts';
import { shedRequests } from '#api/overload.ts';
import { addPeopleRoutes } from '#api/people-routes.ts';
import { addPatientRoutes } from '#api/patient-routes.ts';
import { addProgrammeRoutes } from '#api/programme-routes.ts';
import { addReadingRoutes } from '#api/reading-routes.ts';
import { limitAddresses, limitPrincipals } from '#api/request-limits.ts';
import { addProtocolRoutes } from '#api/protocol-routes.ts';
import { measureRequests } from '#api/request-metrics.ts';
import { setSecurityHeaders } from '#api/security-headers.ts';
import { passOnRequests } from '#api/roles.ts';
import { addRetentionRoutes } from '#api/retention-routes.ts';
import { addSessionRoutes } from '#api/session-routes.ts';
import { addSignInRoutes } from '#api/sign-in-routes.ts';
import { addSocketRoutes } from '#api/socket-routes.ts';
import { addSystemRoutes } from '#api/system-routes.ts';
import { compileValidator } from '#api/validation.ts';
import { addVisitRoutes } from '#api/visit-routes.ts';
import { addWebPage } from '#api/web-page.ts';
import { addWindowRoutes } from '#api/window-routes.ts';

const timeLimits = {
  requestTimeout: apiLimits.requestMs,
  headersTimeout: apiLimits.requestMs,
  connectionsCheckingInterval: apiLimits.requestCheckMs,
  keepAliveTimeout: apiLimits.keepAliveMs,
};

/** The server, ready to listen. `api.server` is the one to attach WebSockets to; `api.close()` ends it. */
export async function createApi(options: ApiOptions): Promise<Api> {
  const api = Fastify({
    bodyLimit: apiLimits.bodyBytes,
    ...timeLimits,
    http: timeLimits,
    trustProxy: options.trustedProxy ?? false,
    genReqId: () => crypto.randomUUID(),
    // A parameter of a channel may be as long as its name.
    routerOptions: { maxParamLength: CHANNEL_NAME_CHARACTERS },
    frameworkErrors: (error, request, reply) => void answerFrameworkError(error, request, reply),
    // WebSockets are closed by those who hold them.
    forceCloseConnections: 'idle',
    logger: false,
    ...serverOf(options.tls),
  }).withTypeProvider<TypeBoxTypeProvider>();
  api.setValidatorCompiler(compileValidator);
  api.setSerializerCompiler(() => JSON.stringify);
  // Only JSON is read; Fastify would take plain text too.
  api.removeContentTypeParser('text/plain');
  answerWithProblems(api, options.log);
  setSecurityHeaders(api, options);
  measureRequests(api, options);
  refuseRequests(api, options);
  if (options.roles !== undefined) passOnRequests(api, options.roles);
  if (options.overload !== undefined) shedRequests(api, options.overload);
  if (options.limits !== undefined) limitAddresses(api, options.limits);
  answerForeignPages(api, options.origins);
  guardRoutes(api, {
    principals: options.principals,
    origins: options.origins,
    ownerOf: options.sessions.ownerOf,
  });
  if (options.limits !== undefined) limitPrincipals(api, options.limits);
  auditRoutes(api, options);
  const openApi = describeRoutes(api, options.about.version);
  addSystemRoutes(api, { ...options, openApi });
  addSignInRoutes(api, options);
  if (options.people !== undefined) addPeopleRoutes(api, { ...options, people: options.people });
  addSessionRoutes(api, options);
  addPatientRoutes(api, options);
  addCareRoutes(api, options);
  addProgrammeRoutes(api, options);
  addVisitRoutes(api, options);
  addAnnotationRoutes(api, options);
  addProtocolRoutes(api, options);
  addRetentionRoutes(api, options);
  addReadingRoutes(api, options);
  addEnvelopeRoutes(api, options);
  addExportRoutes(api, options);
  addMotionRoutes(api, options);
  if (options.webhooks !== undefined) addWebhookRoutes(api, options.webhooks);
  addJobRoutes(api, options);
  addWindowRoutes(api, options);
  addDeviceRoutes(api, options);
  addSocketRoutes(api);
  if (options.live !== null) addChannelRoutes(api, { ...options, live: options.live });
  addKeyRoutes(api, options);
  addAuditRoutes(api, options);
  if (options.extensions !== undefined) addExtensionRoutes(api, options.extensions);
  if (options.webDirectory !== null) await addWebPage(api, options.webDirectory);
  await api.ready();
  return api;
}

/** A server of our own making where TLS ends here: Fastify's types know one kind of server at a time. */
function serverOf(tls: ApiOptions['tls']): Pick<FastifyHttpOptions<Server>, 'serverFactory'> {
  if (tls === null || tls === 'proxy') return {};
  return {
    serverFactory: (handler) => {
      const server = createTlsServer(
        {
          cert: tls.cert,
          key: tls.key,
          ...timeLimits,
          minVersion: 'TLSv1.2',
        },
        handler,
      );
      tls.serve?.(server);
      return server;
    },
  };
}

/** Before anything of the request is looked at, its key least of all. */
function refuseRequests(api: Api, { refusalOf }: ApiOptions): void {
  if (refusalOf === undefined) return;
  api.addHook('onRequest', async (request) => {
    const refusal = refusalOf(request.raw);
    if (refusal !== null) throw new AppError('forbidden', refusal);
  });
}

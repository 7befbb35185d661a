/**
 * Owns what is measured and logged of every request: its route pattern, never its address (a query may hold a ticket),
 * never a header (keys), never a patient or session.
 */

import type { FastifyInstance } from 'fastify';
import { Histogram, type Registry } from 'prom-client';

import type { Log } from '#base/log.ts';

export function measureRequests(app: FastifyInstance, options: { metrics: Registry; log: Log }): void {
  const seconds = new Histogram({
    name: 'kymo_http_request_seconds',
    help: 'Time from the arrival of a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [options.metrics],
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    const status = reply.statusCode;
    seconds.observe({ method: request.method, route, status }, reply.elapsedTime / 1000);
    options.log.debug('request', {
      requestId: request.id,
      method: request.method,
      route,
      status,
      ms: Math.round(reply.elapsedTime * 10) / 10,
    });
  });
}

/** Owns the check of the port: free, ours, or whose. It connects and never listens. */

import { connect } from 'node:net';

import { ok, problem, type Check } from '#app/doctor/finding.ts';
import { describePortOwner, portOwner } from '#app/port-owner.ts';

const CONNECT_MS = 1_000;

export const checkPort: Check = async ({ config, servers }) => {
  const { host, port } = config;
  const running = servers.find((server) => !config.given.has('port') || portOf(server.address) === port);
  if (running !== undefined)
    return [ok('port', `Kymo runs here at ${new URL(running.address).origin} (process ${running.pid}).`)];
  if (port === 0) return [ok('port', 'Any free port will be taken.')];
  if (await isTaken(host, port)) {
    const owner = portOwner(port);
    const end = owner === undefined ? '' : `kill ${owner.pid}, or `;
    return [
      problem(
        'port',
        `Port ${port} is in use by ${describePortOwner(port)}.`,
        `${end}choose another with --port`,
      ),
    ];
  }
  return [ok('port', `Port ${port} is free.`)];
};

function portOf(address: string): number {
  const url = new URL(address);
  return Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
}

function isTaken(host: string, port: number): Promise<boolean> {
  const target = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return new Promise((resolve) => {
    const socket = connect({ host: target, port, timeout: CONNECT_MS });
    const settle = (taken: boolean): void => {
      socket.destroy();
      resolve(taken);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

/** What an installed package loads, and whether what it loads late works. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeAuthority } from '../parts/certificates.ts';
import { run, serving } from './command.ts';

interface Package {
  readonly bin: string;
  /** Where it is installed. */
  readonly cwd: string;
}

const PRINTER = `process.on('exit',()=>process.stdout.write(process.moduleLoadList.join('\\n')+'\\n'))`;

/** Modules of Node itself that are loaded when a server with a policy ends. */
export async function builtinsOf(policy: string, installed: Package): Promise<readonly string[]> {
  const server = await serving([policy], {
    ...installed,
    env: { NODE_OPTIONS: `--import="data:text/javascript,${encodeURIComponent(PRINTER)}"` },
  });
  await server.stop();
  return server.out().match(/(?<=^NativeModule ).*/gm) ?? [];
}

const POLICY = `
handlers: { limits: { adapter: quota-memory, config: {} } }
rules:
  - { name: numbers, match: 'request.path.matches("^/[0-9]+$")', deny: { status: 403 } }
  - { name: of-the-request, match: 'request.path.matches(request.method)', deny: { status: 404 } }
  - { name: once-a-day, quota: { handler: limits, limit: 1, per: day, zone: Europe/Amsterdam, key: [] } }
`;

/** `denied` or `allowed` for each path, by rules that need libraries which are loaded late, over TLS. */
export async function decisionsOverTls(
  transport: 'own' | 'http2',
  paths: readonly string[],
  installed: Package,
): Promise<readonly (string | undefined)[]> {
  const authority = await makeAuthority();
  try {
    const { cert, key } = await authority.issue('server', 'IP:127.0.0.1');
    writeFileSync(join(installed.cwd, 'late.yaml'), POLICY);
    const server = await serving(['late.yaml'], {
      ...installed,
      args: ['--transport', transport, '--tls-cert', cert, '--tls-key', key],
    });
    const call = ['call', 'check', '--to', server.grpc, '--tls-ca', authority.ca, '--request', '-'];
    const answers: (string | undefined)[] = [];
    for (const path of paths) {
      const stdin = `{ request.method: GET, request.path: ${path} }`;
      answers.push(/^\w+/.exec((await run(call, { ...installed, stdin })).out)?.[0]);
    }
    await server.stop();
    return answers;
  } finally {
    await authority.remove();
  }
}

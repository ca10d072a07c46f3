/** Real proxies that ask Sluice, configured by the snippets of docs/http.md. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Part, startChild, untilReady } from './child.ts';
import { caddyProgram, haproxyProgram, nginxProgram } from './fetch.ts';
import { freePort } from './free-port.ts';

export const PROXIES = ['nginx', 'caddy', 'haproxy'] as const;
export type Proxy = (typeof PROXIES)[number];

const DOCUMENT = readFileSync(join(import.meta.dirname, '../../docs/http.md'), 'utf8');

function snippet(language: string): string {
  const text = new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(DOCUMENT)?.[1];
  if (text === undefined) throw new Error(`docs/http.md has no snippet in ${language}`);
  return text;
}

export interface ForwardProxy extends Part {
  readonly port: number;
}

export async function startProxy(
  proxy: Proxy,
  { sluicePort, appPort }: { readonly sluicePort: number; readonly appPort: number },
): Promise<ForwardProxy> {
  const folder = await mkdtemp(join(tmpdir(), `sluice-${proxy}-`));
  const port = await freePort();
  const configured = (language: string): string =>
    snippet(language)
      .replaceAll(':8000', `:${port}`)
      .replaceAll('127.0.0.1:9092', `127.0.0.1:${sluicePort}`)
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${appPort}`)
      .replaceAll('/etc/haproxy/', `${folder}/`);
  const part = await STARTS[proxy](folder, configured);
  await untilReady(proxy, part, async () => (await fetch(`http://127.0.0.1:${port}/ready`)).status > 0);
  return {
    ...part,
    port,
    stop: async (graceMs) => {
      await part.stop(graceMs);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type Start = (folder: string, configured: (language: string) => string) => Promise<Part>;

const STARTS: Readonly<Record<Proxy, Start>> = {
  nginx: async (folder, configured) => {
    const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder};`);
    await writeFile(
      join(folder, 'nginx.conf'),
      `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events {}
http { access_log off; ${places.join(' ')} ${configured('nginx')} }`,
    );
    return startChild(await nginxProgram(), ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')]);
  },
  caddy: async (folder, configured) => {
    await writeFile(join(folder, 'Caddyfile'), `{\n  admin off\n  auto_https off\n}\n${configured('caddy')}`);
    return startChild(await caddyProgram(), ['run', '--config', join(folder, 'Caddyfile')], {
      env: { ...process.env, HOME: folder },
    });
  },
  haproxy: async (folder, configured) => {
    await writeFile(join(folder, 'sluice.lua'), configured('lua'));
    await writeFile(join(folder, 'haproxy.cfg'), configured('haproxy'));
    const program = await haproxyProgram();
    return startChild(program, ['-db', '-f', join(folder, 'haproxy.cfg')], {
      env: { ...process.env, LD_LIBRARY_PATH: join(dirname(program), '../lib/x86_64-linux-gnu') },
    });
  },
};

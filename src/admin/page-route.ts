/**
 * `/`: the page for operators, or the list of JSON pages for those that accept no HTML.
 * **In**: the Accept header. **Out**: `gen/page/index.html`. **Fails**: with 500 if that file is absent; the JSON is not affected.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { SOURCE_FOLDER } from '../files/program.ts';

const FILE = join(SOURCE_FOLDER, '../gen/page/index.html');

/** Read at each request, which is rare: a text of 100 KiB would stay in memory for nobody. */
export function addPage(app: FastifyInstance, pages: object): void {
  app.get('/', async ({ headers: { accept = '' } }, reply) => {
    void reply.header('vary', 'accept');
    if (!accept.includes('text/html')) return { name: 'sluice', pages };
    const html = await readFile(FILE, 'utf8');
    return reply
      .headers({ ...HEADERS, 'content-security-policy': securityPolicy(html) })
      .type('text/html; charset=utf-8')
      .send(html);
  });
}

const HEADERS = {
  'cache-control': 'no-cache',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** Only the script and the style of the file itself run. Trusted types refuse innerHTML: paths and headers come from attackers. */
const securityPolicy = (html: string): string =>
  [
    "default-src 'none'",
    `script-src ${hashOf('script', html)}`,
    `style-src ${hashOf('style', html)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');

function hashOf(tag: 'script' | 'style', html: string): string {
  const text = new RegExp(`<${tag}[^>]*>(.*?)</${tag}>`, 's').exec(html)?.[1] ?? '';
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

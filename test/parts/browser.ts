/** A real Chromium for tests of the page. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { chromiumProgram } from './fetch.ts';

export const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
export const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  isMobile: true,
  hasTouch: true,
  deviceScaleFactor: 2,
};

/** Chromium has no sandbox of its own when it runs as root, as in containers. */
export const startBrowser = async (): Promise<Browser> =>
  chromium.launch({ executablePath: await chromiumProgram(), args: ['--no-sandbox', '--disable-dev-shm-usage'] });

export interface Problems {
  /** Errors of scripts and of the security policy, in words. */
  readonly errors: readonly string[];
}

/** A page whose errors are collected; `await using` closes it, and fails if there were some. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions,
): Promise<Page & Problems & AsyncDisposable> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  page.on('console', (message) => {
    // a refused or unanswered request is a state of the page, not an error of it
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      errors.push(message.text());
  });
  return Object.assign(page, {
    errors,
    async [Symbol.asyncDispose]() {
      await context.close();
      if (errors.length > 0) throw new Error(`errors of the page: ${errors.join('\n')}`);
    },
  });
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds against WCAG 2.2 A and AA, one line each. By the debugger: the security policy of the page refuses foreign scripts. */
export async function accessibilityFindings(page: Page): Promise<readonly string[]> {
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: `if (globalThis.axe === undefined) { ${AXE} } 0` });
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ': ' + html.slice(0, 200) + ' ' + failureSummary)))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value as string[];
}

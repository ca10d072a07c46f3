/** A real Chromium at the page of a served policy, for the tests of one file. */
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import { DESKTOP, openPage, startBrowser } from '../parts/browser.ts';
import { type PeerClient, peerClient } from './peer-client.ts';
import { type ServedSluice, serveSluice } from './sluice.ts';

export interface ServedPage {
  readonly sluice: ServedSluice;
  readonly envoy: PeerClient;
  readonly base: string;
  /** `view` with its query, such as `limits?key=a`. */
  open(view: string, options?: BrowserContextOptions, of?: ServedSluice): ReturnType<typeof openPage>;
  /** Without an address, and with no promise about its errors. */
  openBlank(): ReturnType<Browser['newPage']>;
}

const baseOf = ({ adminPort }: ServedSluice): string => `http://127.0.0.1:${adminPort}`;

export function servedPage(policy: string, args: () => Promise<readonly string[]> = async () => []): ServedPage {
  let browser: Browser;
  let sluice: ServedSluice;
  let envoy: PeerClient;
  beforeAll(async () => {
    [browser, sluice] = await Promise.all([startBrowser(), serveSluice(policy, { args: await args() })]);
    envoy = peerClient(`127.0.0.1:${sluice.grpcPort}`);
  });
  afterAll(async () => {
    envoy.close();
    await browser.close();
    await sluice.stop();
  });
  return {
    get sluice() {
      return sluice;
    },
    get envoy() {
      return envoy;
    },
    get base() {
      return baseOf(sluice);
    },
    async open(view, options = DESKTOP, of = sluice) {
      const page = await openPage(browser, options);
      await page.goto(`${baseOf(of)}/#/${view}`);
      return page;
    },
    openBlank: () => browser.newPage(DESKTOP),
  };
}

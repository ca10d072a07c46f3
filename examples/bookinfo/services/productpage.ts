/** productpage: the page that people look at, made of details and reviews. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type Details, document, type Product, productPage, type Review } from './page.ts';
import { ask, passedOn, sendJson, serve } from './service.ts';

const DETAILS_MS = 3000;
const REVIEWS_MS = 3000;
/** The page fails after six seconds at the latest, although ratings may take ten: the bug that the tour of delays finds. */
const REVIEWS_TRIES = 2;

const PRODUCTS: readonly Product[] = [
  {
    id: 0,
    title: 'The Comedy of Errors',
    description:
      '<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia Summary</a>: The Comedy of Errors is one of <b>William Shakespeare\'s</b> early plays. ' +
      'It is his shortest and one of his most farcical comedies, with a major part of the humour coming from slapstick and mistaken identity, in addition to puns and word play.',
  },
];

// ---------------------------------------------------------- users

const key = randomBytes(32);
const signatureOf = (user: string): string => createHmac('sha256', key).update(user).digest('base64url');
const cookieOf = (user: string): string => `session=${Buffer.from(user).toString('base64url')}.${signatureOf(user)}; HttpOnly; Path=/; SameSite=Lax`;

/** Any user and password will do; what counts is that nobody else can say who has logged in. */
function userOf({ headers: { cookie = '' } }: IncomingMessage): string | undefined {
  const [, name, signature] = /(?:^|;\s*)session=([\w-]+)\.([\w-]+)/.exec(cookie) ?? [];
  if (name === undefined || signature === undefined) return undefined;
  const user = Buffer.from(name, 'base64url').toString();
  const [given, expected] = [Buffer.from(signature), Buffer.from(signatureOf(user))];
  return given.length === expected.length && timingSafeEqual(given, expected) ? user : undefined;
}

const MAX_FORM_BYTES = 4096;
async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  let body = '';
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > MAX_FORM_BYTES) throw new Error('the form is too large');
  }
  return new URLSearchParams(body);
}

// ---------------------------------------------------------- other services

/** The header end-user is of the session; one that a client sends is dropped. */
function headersFor(request: IncomingMessage): Record<string, string> {
  const { 'end-user': _forged, ...headers } = passedOn(request.headers);
  const user = userOf(request);
  return user === undefined ? headers : { ...headers, 'end-user': user };
}

async function detailsOf(id: number, headers: Record<string, string>): Promise<Details | undefined> {
  try {
    const { status, body } = await ask('details', `/details/${id}`, { headers, timeoutMs: DETAILS_MS });
    return status === 200 ? (JSON.parse(body) as Details) : undefined;
  } catch {
    return undefined;
  }
}

async function reviewsOf(id: number, headers: Record<string, string>): Promise<readonly Review[] | undefined> {
  for (let attempt = 0; attempt < REVIEWS_TRIES; attempt++) {
    try {
      const { status, body } = await ask('reviews', `/reviews/${id}`, { headers, timeoutMs: REVIEWS_MS });
      if (status === 200) return (JSON.parse(body) as { readonly reviews: readonly Review[] }).reviews;
    } catch {
      // once more
    }
  }
  return undefined;
}

serve('productpage', async (request, response, url) => {
  const html = (status: number, text: string): void => {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' });
    response.end(text);
  };
  const home = (cookie: string): void => {
    response.writeHead(302, { location: '/productpage', 'set-cookie': cookie });
    response.end();
  };
  const [product] = PRODUCTS;
  const [, id, part] = /^\/api\/v1\/products(?:\/(\d+)(?:\/(reviews|ratings))?)?$/.exec(url.pathname) ?? [];
  const headers = headersFor(request);
  switch (url.pathname) {
    case '/':
    case '/index.html':
      return html(
        200,
        document(
          'Simple Bookstore App',
          '',
          '<h1>Hello! This is a simple bookstore application consisting of three services</h1><p><a href="/productpage?u=normal">Normal user</a> <a href="/productpage?u=test">Test user</a></p>',
        ),
      );
    case '/health':
      return html(200, 'Product page is healthy');
    case '/login': {
      const user = (await formOf(request)).get('username') ?? '';
      return home(user === '' ? 'session=; Path=/; Max-Age=0' : cookieOf(user));
    }
    case '/logout':
      return home('session=; Path=/; Max-Age=0');
    case '/productpage': {
      if (product === undefined) return html(404, 'no such book');
      const [details, reviews] = await Promise.all([detailsOf(product.id, headers), reviewsOf(product.id, headers)]);
      return html(200, productPage({ user: userOf(request), product, details, reviews }));
    }
    case '/api/v1/products':
      return sendJson(response, 200, PRODUCTS);
  }
  if (id === undefined) return html(404, 'no such page');
  if (part === undefined) {
    const details = await detailsOf(Number(id), headers);
    return sendJson(response, details === undefined ? 503 : 200, details ?? { error: 'Sorry, product details are currently unavailable for this book.' });
  }
  if (part === 'reviews') {
    const reviews = await reviewsOf(Number(id), headers);
    return sendJson(response, reviews === undefined ? 503 : 200, { id, reviews: reviews ?? [] });
  }
  const { status, body } = await ask('ratings', `/ratings/${id}`, { headers, timeoutMs: REVIEWS_MS });
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(body);
});

/** reviews: v1 without ratings, v2 with black stars, v3 with red ones, by ENABLE_RATINGS and STAR_COLOR. */
import type { IncomingHttpHeaders } from 'node:http';
import { ask, passedOn, sendJson, serve } from './service.ts';

const { ENABLE_RATINGS, STAR_COLOR = 'black' } = process.env;
const hasRatings = ENABLE_RATINGS === 'true';
/** Longer than the page waits for reviews, on purpose: the bug that the tour of delays finds. */
const RATINGS_MS = STAR_COLOR === 'black' ? 10_000 : 2500;

const TEXTS = {
  Reviewer1: 'An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!',
  Reviewer2:
    'Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare.',
} as const;
type Reviewer = keyof typeof TEXTS;

async function starsOf(id: string, headers: IncomingHttpHeaders): Promise<Readonly<Partial<Record<Reviewer, number>>> | undefined> {
  try {
    const { status, body } = await ask('ratings', `/ratings/${id}`, { headers: passedOn(headers), timeoutMs: RATINGS_MS });
    if (status !== 200) return undefined;
    return (JSON.parse(body) as { readonly ratings: Readonly<Partial<Record<Reviewer, number>>> }).ratings;
  } catch {
    return undefined;
  }
}

serve('reviews', async ({ headers }, response, { pathname }) => {
  if (pathname === '/health') return sendJson(response, 200, { status: 'Reviews is healthy' });
  const [, id] = /^\/reviews\/(\d+)$/.exec(pathname) ?? [];
  if (id === undefined) return sendJson(response, 404, { error: 'no such page' });
  const stars = hasRatings ? await starsOf(id, headers) : undefined;
  const ratingOf = (reviewer: Reviewer): object => {
    if (!hasRatings) return {};
    const own = stars?.[reviewer];
    return own === undefined
      ? { rating: { error: 'Ratings service is currently unavailable' } }
      : { rating: { stars: own, color: STAR_COLOR } };
  };
  return sendJson(response, 200, {
    id,
    reviews: (Object.keys(TEXTS) as Reviewer[]).map((reviewer) => ({
      reviewer,
      text: TEXTS[reviewer],
      ...ratingOf(reviewer),
    })),
  });
});

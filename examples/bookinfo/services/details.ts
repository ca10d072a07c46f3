/** details: facts of a book. */
import { sendJson, serve } from './service.ts';

serve('details', (_request, response, { pathname }) => {
  if (pathname === '/health') return sendJson(response, 200, { status: 'Details is healthy' });
  const [, id] = /^\/details\/(.*)$/.exec(pathname) ?? [];
  if (id === undefined) return sendJson(response, 404, { error: 'no such page' });
  if (!/^\d+$/.test(id)) return sendJson(response, 400, { error: 'please provide numeric product id' });
  return sendJson(response, 200, {
    id: Number(id),
    author: 'William Shakespeare',
    year: 1595,
    type: 'paperback',
    pages: 200,
    publisher: 'PublisherA',
    language: 'English',
    'ISBN-10': '1234567890',
    'ISBN-13': '123-1234567890',
  });
});

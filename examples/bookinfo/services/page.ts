/** The page of a book. */

export interface Details {
  readonly type: string;
  readonly pages: number;
  readonly publisher: string;
  readonly language: string;
  readonly 'ISBN-10': string;
  readonly 'ISBN-13': string;
}
export interface Review {
  readonly reviewer: string;
  readonly text: string;
  readonly rating?: { readonly stars: number; readonly color: string } | { readonly error: string };
}
export interface Product {
  readonly id: number;
  readonly title: string;
  readonly description: string;
}

/** undefined: the service did not answer. */
export interface PageParts {
  readonly user: string | undefined;
  readonly product: Product;
  readonly details: Details | undefined;
  readonly reviews: readonly Review[] | undefined;
}

const ESCAPED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
export const escaped = (text: string): string => text.replace(/[&<>"]/g, (one) => ESCAPED[one] ?? one);

const STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 15%, transparent); --soft: color-mix(in srgb, currentColor 65%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
header { display: flex; justify-content: space-between; align-items: center; padding: .8rem 1.5rem; border-bottom: 1px solid var(--line); }
header a { color: inherit; text-decoration: none; font-weight: 600; }
main { max-width: 64rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 2rem; text-align: center; }
.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 2.5rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; } dt { color: var(--soft); } dd { margin: 0; }
blockquote { margin: 0 0 1.2rem; padding-left: 1rem; border-left: 3px solid var(--line); } blockquote small { color: var(--soft); }
.error { color: #b3261e; } @media (prefers-color-scheme: dark) { .error { color: #ff8a80; } font[color=black] { color: #ddd; } }
.glyphicon-star::before { content: "★"; } .glyphicon-star-empty::before { content: "☆"; }
button { font: inherit; padding: .3rem .9rem; border-radius: .4rem; border: 1px solid var(--line); background: none; color: inherit; cursor: pointer; }
input { font: inherit; padding: .3rem .5rem; border-radius: .4rem; border: 1px solid var(--line); width: 8rem; }
form { display: inline-flex; gap: .5rem; }`;

export const document = (title: string, header: string, body: string): string => `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${STYLE}</style></head>
<body><header><a href="/productpage">BookInfo Sample</a><div>${header}</div></header><main>${body}</main></body></html>`;

const signIn = `<form method="post" action="/login"><input name="username" placeholder="User Name" aria-label="User Name">
<input name="passwd" type="password" placeholder="Password" aria-label="Password"><button>Sign in</button></form>`;

export function productPage({ user, product, details, reviews }: PageParts): string {
  const header = user === undefined ? signIn : `${escaped(user)} ( <a href="/logout">sign out</a> )`;
  return document(
    'Simple Bookstore App',
    header,
    `<h1>${escaped(product.title)}</h1><p>Summary: ${product.description}</p>
<div class="halves"><section>${detailsPart(details)}</section><section>${reviewsPart(reviews)}</section></div>`,
  );
}

function detailsPart(details: Details | undefined): string {
  if (details === undefined)
    return '<h2 class="error">Error fetching product details!</h2><p>Sorry, product details are currently unavailable for this book.</p>';
  const rows = { Type: details.type, Pages: details.pages, Publisher: details.publisher, Language: details.language, 'ISBN-10': details['ISBN-10'], 'ISBN-13': details['ISBN-13'] };
  return `<h2>Book Details</h2><dl>${Object.entries(rows)
    .map(([name, value]) => `<dt>${name}:</dt><dd>${escaped(String(value))}</dd>`)
    .join('')}</dl>`;
}

function reviewsPart(reviews: readonly Review[] | undefined): string {
  if (reviews === undefined)
    return '<h2 class="error">Error fetching product reviews!</h2><p>Sorry, product reviews are currently unavailable for this book.</p>';
  return `<h2>Book Reviews</h2>${reviews
    .map(({ reviewer, text, rating }) => `<blockquote><p>${escaped(text)}</p><small>${escaped(reviewer)}</small>${ratingPart(rating)}</blockquote>`)
    .join('')}`;
}

function ratingPart(rating: Review['rating']): string {
  if (rating === undefined) return '';
  if ('error' in rating) return `<p><i class="error">${escaped(rating.error)}</i></p>`;
  const stars = (name: string, count: number): string => `<span class="glyphicon glyphicon-${name}"></span>`.repeat(count);
  return `<p><font color="${escaped(rating.color)}" role="img" aria-label="${rating.stars} of 5 stars">${stars('star', rating.stars)}${stars('star-empty', 5 - rating.stars)}</font></p>`;
}

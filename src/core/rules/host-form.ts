/** Constants compared with `request.host` that never equal a host. */
import { hostOf, portOf } from '../../attributes/host.ts';
import { comparedTexts } from './compared-texts.ts';

const textsOf = comparedTexts('request\\.host');

/** A message per constant. */
export function oddHosts(source: string): readonly string[] {
  if (!source.includes('request.host')) return [];
  const { whole, parts } = textsOf(source);
  return [
    ...whole
      .filter((text) => text !== '' && hostOf(text) !== text)
      .map((text) => {
        const [host, port] = [hostOf(text), portOf(text)];
        if (host === undefined) return `request.host never equals ${JSON.stringify(text)}, which names no host`;
        const form = host.startsWith('[') ? ', its addresses as RFC 5952 writes them' : '';
        return (
          `request.host never equals ${JSON.stringify(text)}: it is in lower case, without port and trailing dot${form}; ` +
          `compare it with ${JSON.stringify(host)}${port === undefined ? '' : ', and request.port with the port'}`
        );
      }),
    ...parts
      .filter((text) => /[A-Z]/.test(text))
      .map(
        (text) =>
          `request.host never contains ${JSON.stringify(text)}: it is in lower case; write ${JSON.stringify(text.toLowerCase())}`,
      ),
  ];
}

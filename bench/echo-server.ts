/** Upper bound for a Node server: the same number of bytes in, a short answer out, no protocol. */
import { createServer, type AddressInfo } from 'node:net';

const [requestBytes = 1300, answerBytes = 100] = process.argv.slice(2).map(Number);
const answers = Buffer.alloc(answerBytes * 1024, 'a');

const server = createServer({ noDelay: true }, (socket) => {
  let received = 0;
  socket.on('data', (chunk) => {
    received += chunk.length;
    const whole = Math.floor(received / requestBytes);
    received -= whole * requestBytes;
    for (let left = whole; left > 0; left -= 1024)
      socket.write(answers.subarray(0, Math.min(left, 1024) * answerBytes));
  });
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => console.log(`echo listens on ${(server.address() as AddressInfo).port}`));
process.once('SIGTERM', () => process.exit(0));

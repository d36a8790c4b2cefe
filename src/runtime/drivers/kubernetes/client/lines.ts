import { ClusterError } from './errors.ts';

/** Whole lines of a stream, without their ends; what is longer than `limit` bytes is no event. Empty ones are left out. */
export async function* linesOf(stream: AsyncIterable<Buffer>, limit: number): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, end)]).toString();
      [rest, size, from] = [[], 0, end + 1];
      if (line.trim() !== '') yield line;
    }
    rest.push(chunk.subarray(from));
    size += chunk.length - from;
    if (size > limit) throw new ClusterError('NO_ANSWER', 'a line that does not end');
  }
}

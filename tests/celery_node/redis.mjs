// Enqueues a task on a Redis broker with celery-node: node redis.mjs URL QUEUE TASK ARGS
import celery from "celery-node";

const [url, queue, task, args] = process.argv.slice(2);
const client = celery.createClient(url, url, queue);
await client.isReady();
client.createTask(task).applyAsync(JSON.parse(args));
// The message is on its way one turn later: celery-node tells nobody when it has arrived.
await client.isReady();
await client.disconnect();

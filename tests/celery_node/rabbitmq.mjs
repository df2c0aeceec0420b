// Enqueues a task on RabbitMQ in the raw format: node rabbitmq.mjs URL QUEUE TASK ARGS
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const [url, queue, task, args] = process.argv.slice(2);
const connection = await amqp.connect(url);
const channel = await connection.createConfirmChannel();
const id = randomUUID();
channel.publish(queue, queue, Buffer.from(JSON.stringify([JSON.parse(args), {}, {}])), {
  contentType: "application/json",
  contentEncoding: "utf-8",
  deliveryMode: 2,
  correlationId: id,
  mandatory: true,
  headers: { lang: "js", task, id, root_id: id, expires: null },
});
await channel.waitForConfirms();
await connection.close();

//! What a post of the seeded history is, by its number.

use uuid::Uuid;

use super::{
    draw::{Draw, spread},
    order::SPAN,
    rows::Rows,
};

/// How many people have written.
const AUTHORS: u64 = 1_000;
/// What posts and comments are made of.
const TOPICS: [&str; 12] = [
    "a hand grinder after a year of use",
    "what a filter roast tastes like",
    "the quietest milk frother",
    "how to season a cast iron pan",
    "notebooks that lie flat",
    "a desk lamp without glare",
    "canvas that ages well",
    "pruning before the frost",
    "tea that forgives a forgotten timer",
    "a saddle for long rides",
    "cups that keep their heat",
    "knives that stay sharp",
];
const OPINIONS: [&str; 8] = [
    "Worth every cent.",
    "I had hoped for more, but it does its work.",
    "It has been in daily use since it came.",
    "The second one is on its way.",
    "Not for everybody, and just right for me.",
    "It took a week to get used to, and now I miss it elsewhere.",
    "Repaired once, in ten minutes, with the parts that came with it.",
    "A present that was kept.",
];

/// Makes posts between `start` and 365 days later.
pub(super) struct Forum {
    start: u64,
    authors: Vec<(Uuid, String)>,
}

impl Forum {
    pub(super) fn since(start: u64) -> Self {
        let id = |number| Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:throughline:author:{number}").as_bytes());
        Self { start, authors: (0..AUTHORS).map(|number| (id(number), format!("author-{number:04}"))).collect() }
    }

    /// When it was written, and its id.
    pub(super) fn begin(&self, number: u64) -> (u64, Uuid) {
        let (created, id, _) = self.draw(number);
        (created, id)
    }

    fn draw(&self, number: u64) -> (u64, Uuid, Draw) {
        let mut draw = Draw::of(b"  a post", number);
        let created = self.start + spread(number, SPAN) * 1_000 + draw.below(1_000);
        let id = draw.id(created);
        (created, id, draw)
    }

    fn author(&self, draw: &mut Draw) -> &(Uuid, String) {
        let number = draw.skewed(AUTHORS);
        &self.authors[usize::try_from(number).unwrap_or_default()]
    }

    /// Adds its row, and those of nought to five comments: each some time after the one before, none after the history's end.
    pub(super) fn write(&self, number: u64, posts: &mut Rows, comments: &mut Rows) {
        let (created, id, mut draw) = self.draw(number);
        let (author, name) = self.author(&mut draw);
        let topic = one_of(&TOPICS, &mut draw);
        let body = format!("On {topic}. {} {}", one_of(&OPINIONS, &mut draw), one_of(&OPINIONS, &mut draw));
        posts.row(7).uuid(id).uuid(*author).text(name).text(&format!("No. {number}: {topic}")).text(&body).time(created).time(created);
        let (mut time, end) = (created, self.start + SPAN * 1_000);
        for _ in 0..draw.below(6) {
            time = (time + 60_000 + draw.below(86_400_000)).min(end);
            let (author, name) = self.author(&mut draw);
            comments.row(6).uuid(draw.id(time)).uuid(id).uuid(*author).text(name).text(one_of(&OPINIONS, &mut draw)).time(time);
        }
    }
}

fn one_of<'a>(words: &[&'a str], draw: &mut Draw) -> &'a str {
    let number = draw.below(words.len() as u64);
    words[usize::try_from(number).unwrap_or_default()]
}

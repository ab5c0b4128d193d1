//! The words that the demo products are made of: ten categories of five goods, each in four grades.

/// A shelf of the shop.
pub(super) struct Category {
    /// First part of the SKU.
    pub(super) code: &'static str,
    /// As it is stored.
    pub(super) name: &'static str,
    /// Follows the name in the description.
    pub(super) made: &'static str,
    /// Name and what the plainest grade costs, in cents.
    pub(super) goods: [(&'static str, i64); 5],
}

/// How well a good is made.
pub(super) struct Grade {
    /// Begins the product's name.
    pub(super) word: &'static str,
    /// Of the plain price.
    pub(super) percent: i64,
    /// Ends the description.
    pub(super) promise: &'static str,
}

pub(super) const GRADES: [Grade; 4] = [
    Grade { word: "Everyday", percent: 100, promise: "the one to start with, and to keep" },
    Grade { word: "Classic", percent: 135, promise: "made as it always was, a little better finished" },
    Grade { word: "Reserve", percent: 190, promise: "a small batch, picked by hand and numbered" },
    Grade { word: "Workshop", percent: 260, promise: "made to be used daily and repaired for a lifetime" },
];

pub(super) const CATEGORIES: [Category; 10] = [
    Category {
        code: "COF",
        name: "coffee",
        made: "roasted slowly",
        goods: [("Espresso Beans", 1190), ("Filter Roast", 1090), ("Cold Brew Blend", 1290), ("Decaf Beans", 1240), ("Ground Mokka", 890)],
    },
    Category {
        code: "TEA",
        name: "tea",
        made: "in loose leaf",
        goods: [("Breakfast Tea", 640), ("Earl Grey", 690), ("Sencha", 940), ("Rooibos", 590), ("Jasmine Pearls", 1450)],
    },
    Category {
        code: "BRW",
        name: "brewing",
        made: "for the counter at home",
        goods: [("Hand Grinder", 3900), ("Pour-Over Dripper", 1890), ("Moka Pot", 2490), ("Teapot", 2790), ("Milk Frother", 1590)],
    },
    Category {
        code: "MUG",
        name: "mugs",
        made: "of stoneware fired twice",
        goods: [("Espresso Cup", 790), ("Mug", 990), ("Latte Bowl", 1290), ("Cappuccino Cup", 1990), ("Tea Beaker", 1190)],
    },
    Category {
        code: "DSK",
        name: "desk",
        made: "for a tidy table",
        goods: [("Desk Lamp", 3490), ("Pen Tray", 1290), ("Monitor Stand", 4290), ("Cable Box", 1690), ("Desk Mat", 2290)],
    },
    Category {
        code: "PAP",
        name: "paper",
        made: "of uncoated paper",
        goods: [("Notebook", 990), ("Sketchbook", 1390), ("Week Planner", 1590), ("Letter Set", 1190), ("Sticky Pad", 390)],
    },
    Category {
        code: "BAG",
        name: "bags",
        made: "of waxed canvas",
        goods: [("Backpack", 6900), ("Tote Bag", 1990), ("Messenger Bag", 5400), ("Laptop Sleeve", 2490), ("Tool Roll", 2990)],
    },
    Category {
        code: "KIT",
        name: "kitchen",
        made: "for cooks who mean it",
        goods: [("Chef Knife", 4900), ("Cutting Board", 2690), ("Cast Iron Pan", 3990), ("Mixing Bowl", 1490), ("Linen Apron", 2390)],
    },
    Category {
        code: "GRD",
        name: "garden",
        made: "for beds and balconies",
        goods: [("Hand Trowel", 1190), ("Watering Can", 2190), ("Seed Box", 890), ("Pruning Shears", 2490), ("Planter", 1790)],
    },
    Category {
        code: "BYK",
        name: "bicycle",
        made: "for the way to work",
        goods: [("Bell", 990), ("Front Light", 2490), ("Saddle", 4490), ("Repair Kit", 1890), ("Handlebar Tape", 1590)],
    },
];

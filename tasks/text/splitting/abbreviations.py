"""Abbreviations and the words that begin sentences, by language. Data only.

An entry that begins with a capital is an abbreviation only where the text has one too (`Sun.` is, `the sun.` is not).
Four kinds of word with a full stop. A *title* never ends a sentence before a capital (`Dr. Smith`); a *label* does not
before a number (`No. 5`), but is a word else (`He said no. Then`); a *closing* abbreviation may (`Acme Inc. He left`)
and does before a word that begins sentences; *inner* ones never do, whatever follows (`e.g. The`). One that is a title
and closing is closing: `г. Москва`, `в 1799 г. Он`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache


@dataclass(frozen=True, slots=True)
class Words:
    """Lower-case words of a language, without their last stop."""

    titles: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    closing: frozenset[str] = frozenset()
    inner: frozenset[str] = frozenset()
    starters: frozenset[str] = frozenset()
    after_ordinals: frozenset[str] = frozenset()


_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "titles": "Dr Drs p.s ps Mr Mrs Ms Mx Prof Rev Fr Hon St Ste Mt Ft Gen Col Lt Maj Capt Cpt Cmdr Adm Sgt"
        " Cpl Pvt Gov Sen Rep Pres Supt Det Insp Amb Sr Sra Msgr Messrs Mme Mlle Br Bp Ven Atty Brig Wm Chas Geo"
        " Thos Jas Benj Asst Assoc vs viz cf ca esp approx aka dept govt natl intl univ assn admin excl incl"
        " misc temp corp Lic Lieut Visc Jos Robt Edw resp attn",
        "labels": "no nos fig figs p pp vol vols ch chap sec sect art eq eqs eqn ref refs op ex par para pt app bk"
        " cl col ll n nn rs rm ext tel tab div reg max min est",
        "closing": "etc Inc Ltd Co Corp llc plc Bros Jr ph.d m.d b.a m.a b.sc m.sc ll.b d.phil a.m p.m u.s u.s.a"
        " u.k u.n e.u d.c a.d b.c b.c.e c.e Jan Feb Mar Apr Jun Jul Aug Sept Sep Oct Nov Dec Mon Tue Tues Wed Thu"
        " Thurs Fri Sat Sun Ave Blvd Rd Hwy Sq Ct Apt Bldg Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Ind Kan Ky"
        " La Mass Md Mich Minn Miss Mo Mont Neb Nev Okla Ore Pa Tenn Tex Va Vt Wash Wis Wyo Ont Que lb lbs spp Ed"
        " Eds Trans Est hrs mins yrs Univ Dept Natl Intl al sq Esq orig publ transl illus abbr usu suppl equiv"
        " avg tbsp tsp oz",
        "inner": "e.g i.e eg ie",
        "starters": "the a an he she it we they you i this that these those there here his her its our their my"
        " your in on at as but and or if when while after before since because although though however moreover"
        " then thus so what who why how where which for from with by to of not no yes one some many most all both"
        " each every another such during until despite once also even perhaps maybe now today yesterday later it's"
        " he's she's that's there's i'm we're they're i've let please thanks nobody everyone everybody someone"
        " anyone nothing nor only is are was were do does did can could would should will have has had let's don't"
        " didn't you're we've",
    },
    "de": {
        "titles": "dr prof hr fr frl st hl dipl ing Mag med phil jur rer nat theol hc habil bspw bzw bzgl ca evtl"
        " ggf inkl exkl max min mind sog u usw vgl zzt ev eigtl geb gest verh gegr hrsg jh jhs jhd jhdts korr lt"
        " mio mrd nr od s sr stv urspr ursprgl verst wg z zz abt akad allg amtl anm anh ausg bd bde beisp bes betr"
        " bez bf ber bibl chr dtsch dt engl entspr erg erw frz ges griech insbes internat ital jap kath kgl lat m"
        " naut nördl östl westl südl österr phys pol rd röm russ schweiz spez staatl statist techn teilw umg ungar"
        " univ vorm vors wiss zool zus zw d.h z.b u.a i.d.r o.ä u.ä s.o s.u v.a a.d i.e v.chr n.chr m.e z.t u.u",
        "labels": "nr art abs kap abb tab s bd par ziff aufl tel fig vol no p",
        "closing": "usw etc jr sen inc ltd co corp gmbh ag str mio mrd tsd std min sek jan feb mär apr jun jul aug"
        " sep sept okt nov dez mo di mi do fr sa so",
        "inner": "d.h z.b bspw bzw vgl ca",
        "starters": "der die das den dem des ein eine einer einem er sie es wir ihr ich man dies diese dieser"
        " dieses dort hier da dann so nun auch aber und oder doch denn wenn als nach nachdem vor während seit bei"
        " mit von vom im in am an auf aus für zu zum zur durch über unter um ohne gegen trotz wegen jedoch"
        " allerdings außerdem danach damals heute seine sein ihre ihren was wer wie wo warum alle viele einige"
        " beide jeder nicht nur sehr dabei dazu daher deshalb dadurch damit zudem bereits noch ob obwohl weil",
        "after_ordinals": "januar jänner februar märz april mai juni juli august september oktober november"
        " dezember jahrhundert jahrhunderts jahrhunderte jh jhd platz rang stock stockwerk klasse auflage band mal"
        " tag woche monat jahr etage runde saison geburtstag jahrestag juniheft liga bundesliga armee division"
        " infanterie kapitel internationale internationalen weltkrieg weltkriegs könig bezirk wiener spieltag"
        " minute",
    },
    "fr": {
        "titles": "m mm mme mmes mlle mlles dr pr me mgr st ste cf env av apr bd boul fg ex éd chap fig vol no"
        " nos p pp par réf tél trad dir coll n c.-à-d all angl lat gr syn adj hab",
        "labels": "art chap fig vol no n p pp réf t",
        "closing": "etc inc ltd co jr sr janv févr avr juil sept oct nov déc av j.-c ap s.a u.s",
        "inner": "cf c.-à-d",
        "starters": "le la les l'on l' un une des il elle ils elles on nous vous je tu ce cet cette ces c'est son"
        " sa ses leur leurs mon ma dans en sur sous pour par avec sans après avant depuis pendant lors mais et ou"
        " donc or ni car si quand lorsque comme que qui quoi où pourquoi comment ainsi alors aussi cependant"
        " toutefois puis enfin de du d' à au aux plus tout tous toutes selon malgré bien même deux",
    },
    "es": {
        "titles": "sr sra srta sres dr dra d dña da ud uds vd vds prof profa lic ing arq gral cnel tte cap sto sta"
        " san mons excmo ilmo rvdo fr hno p.ej pág págs art núm fig vol ed av avda c cía dpto ej Ee Ff Rr Jj Cc",
        "labels": "art núm no nº pág págs p pp fig vol cap t",
        "closing": "etc cía inc ltd jr a.m p.m ee.uu s.a s.l a.c d.c u.s c.a vs Uu Aa Hh Oo",
        "inner": "p.ej",
        "starters": "el la los las lo un una unos unas él ella ellos ellas yo tú nosotros usted este esta estos"
        " estas ese esa eso esto aquel su sus mi en de del a al con sin por para según tras durante desde hasta"
        " entre sobre pero y o si cuando mientras como donde que qué quién aunque porque así entonces luego"
        " después antes también además no sí se es son fue hay más muy todo todos todas otro otra",
    },
    "it": {
        "titles": "sig sigg sigra dott dottssa prof profssa ing avv arch geom rag on sen gen col cap ten mons don"
        " fr s ss san dr cfr ecc es art artt pag pagg fig vol ed n nn lett tel p pp cit ca d.lgs d.p.r lgs",
        "labels": "art artt n nn pag pagg p pp fig vol cap co lett tab",
        "closing": "ecc etc inc ltd jr a.c d.c s.p.a s.r.l u.s",
        "inner": "cfr es",
        "starters": "il lo la i gli le l' un uno una egli ella esso essa essi noi voi loro io tu questo questa"
        " questi queste quello quella quelli ciò suo sua suoi in di del della dei a al alla da dal dalla con su"
        " per tra fra dopo prima durante ma e o se quando mentre come dove che chi cosa perché anche inoltre così"
        " allora poi non si è sono era più molto tutto tutti tutte nel nella nei",
    },
    "pt": {
        "titles": "sr sra srs dr dra prof profa eng arq gen cel cap d dom st sto sta exmo av r pág págs art fig"
        " vol núm",
        "labels": "art núm no nº pág págs p pp fig vol cap",
        "closing": "etc cia ltda inc jr a.c d.c s.a u.s",
        "starters": "o a os as um uma ele ela eles elas eu nós este esta esse essa isso isto seu sua em no na nos"
        " nas de do da com sem por para após durante desde até mas e ou se quando como onde que quem também além"
        " assim então não",
    },
    "nl": {
        "titles": "dhr mevr mw mr dr drs ir ing prof ds st jhr bv bijv ca enz evt m.a.w d.w.z o.a i.p.v t.o.v nl"
        " a.d blz",
        "labels": "nr art blz p fig hfst vol no",
        "closing": "enz etc jr sr n.v b.v jan feb mrt apr aug sept okt nov dec u.s",
        "inner": "bijv m.a.w d.w.z",
        "starters": "de het een hij zij ze wij we ik jij u dit dat deze die er hier daar in op van met voor na bij"
        " door om maar en of als toen terwijl omdat hoewel ook dan nu zo zijn haar hun niet wat wie waar hoe"
        " waarom",
    },
    "sv": {
        "titles": "dr prof hr fr st s.k t.ex bl.a d.v.s m.fl ca kl nr o.d f.d t.o.m fr.o.m dvs jfr resp ev",
        "labels": "nr s kap fig tab kl",
        "closing": "etc m.m osv m.fl jr",
        "inner": "t.ex bl.a d.v.s dvs s.k",
        "starters": "den det de en ett han hon vi jag du ni här där i på av med för till från om men och eller när"
        " som då så också detta denna dessa hans hennes vad vem hur varför efter under",
    },
    "da": {
        "titles": "dr prof hr fr st bl.a f.eks dvs ca kl nr jf evt m.fl skt",
        "labels": "nr s kap fig kl art stk",
        "closing": "etc m.m osv m.v jr",
        "inner": "f.eks bl.a dvs",
        "starters": "den det de en et han hun vi jeg du i her der på af med for til fra om men og eller når som da"
        " så også dette denne disse hans hendes hvad hvem hvor hvordan hvorfor efter under",
        "after_ordinals": "januar februar marts april maj juni juli august september oktober november december"
        " århundrede",
    },
    "no": {
        "titles": "dr prof hr fru st bl.a f.eks dvs ca kl nr jf evt",
        "labels": "nr s kap fig kl art",
        "closing": "etc m.m osv jr",
        "inner": "f.eks bl.a dvs",
        "starters": "den det de en et han hun vi jeg du i her der på av med for til fra om men og eller når som da"
        " så også dette denne disse hans hennes hva hvem hvor hvordan hvorfor etter under",
    },
    "fi": {
        "titles": "esim ks vrt mm prof tri tr fil lis toht dos maist ent n nk nyk jkr ekr eaa synt kuol s k puh"
        " tel os ev res kapt ltn kenr evl maj past rov ins dipl.ins huom ao yo ym yms ko",
        "labels": "nro n:o s k luku kuva taulukko",
        "closing": "jne ym yms tms ts oy ab jr eaa jkr ekr",
        "inner": "esim ks vrt mm",
        "starters": "se hän he ne minä sinä me te tämä nämä tuo nuo siellä täällä tässä siinä kun jos mutta ja tai"
        " sekä niin nyt sitten myös joka mikä kuka missä miten miksi ei on oli tosin lisäksi kuitenkin sen hänen"
        " heidän tämän vaikka koska ensin jälkeen ennen",
    },
    "pl": {
        "titles": "dr prof mgr inż hab doc płk gen mjr kpt por ppor plut sierż ks bp abp kard św bł red lek adw"
        " dyr prez min woj zob np tzn tj tzw m.in ul al pl os pt im br ub s str nr ok godz wg ur zm łac ang niem"
        " franc ros wł właśc pol gr hiszp jap czes ukr współpr wyd t tel oprac tłum przyp rozdz art ust poz pkt"
        " lit dz dn p c",
        "labels": "nr art ust poz pkt lit rozdz str s t tab rys ryc fot p par",
        "closing": "itd itp etc r inc ltd jr n.e p.n.e proc tys mln mld zł gr godz r.ż sp z.o.o",
        "inner": "np tzn tj m.in tzw zob",
        "starters": "w we z ze na do od po za o u i a ale lub albo to ten ta te tego tej tym jest są był była było"
        " były nie tak on ona ono oni one ja ty my wy jego jej ich gdy kiedy jeśli jeżeli jak jako który która"
        " które co kto gdzie dlaczego więc jednak też także oraz podczas przez przed przy dla pod nad bo czy już"
        " się wszystko wszyscy jeden",
        "after_ordinals": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października"
        " listopada grudnia wiek wieku pułk dywizja brygada armia",
    },
    "cs": {
        "titles": "dr prof ing mgr mudr judr phdr doc bc sv např tzv tj popř resp cca č str s r kpt gen plk mjr"
        " por arch",
        "labels": "č čl str s odst písm kap obr tab",
        "closing": "atd apod aj etc jr n.l př.n.l tis mil mld st",
        "inner": "např tzv tj",
        "starters": "v ve na do od po za o u i a ale nebo to ten ta je jsou byl byla bylo byli ne tak on ona oni"
        " já my vy jeho její jejich když pokud jak jako který která které co kdo kde proč však také při pro",
    },
    "ru": {
        "titles": "г гг г-н г-жа гр др проф акад доц им св ул пр просп пер пл д корп кв стр наб бул обл р-н пос"
        " дер с ст рис табл см ср напр т.н т.е т.к т т.п тов ген полк инж канд мл гл изд ред ок род ум англ лат"
        " нем франц фр итал исп греч яп кит укр рус букв лит ориг сокр тел факс п пп ч м о оз",
        "labels": "рис табл стр с гл ст п пп т ч н д кв вып",
        "closing": "др т.д т.п т.п. г гг в вв н.э до.н.э тыс млн млрд руб коп км кг чел мин сек час долл р.х м экз"
        " с",
        "inner": "т.е т.к напр см т.н",
        "starters": "в во на с со из за по о об от до для при под над у и а но или что это этот эта эти тот он она"
        " оно они мы вы я ты его её ее их как когда если где кто почему так также однако после перед между более"
        " не все всё был была было были там здесь затем кроме хотя поэтому согласно",
    },
    "uk": {
        "titles": "р рр м с вул просп пл ім св проф акад доц ін див напр т.зв тобто обл р-н пос гр рис табл ст"
        " англ лат нім фр рос",
        "labels": "рис табл ст с п т ч гл",
        "closing": "ін т.д т.п р рр ст н.е тис млн млрд грн коп км кг чол",
        "inner": "див напр",
        "starters": "у в на з із за по про від до для при під над і й та а але або що це цей ця ці той він вона"
        " воно вони ми ви я ти його її їх як коли якщо де хто чому так також однак після не все",
    },
    "el": {
        "titles": "κ κα κος κκ δρ καθ αγ αρ βλ λ.χ π.χ δηλ σελ τ τηλ αρθ άρθ παρ εδ εκδ τόμ υπ χλμ στρ ταξ",
        "labels": "αρ άρθ σελ τόμ παρ κεφ εικ",
        "closing": "κ.λπ κλπ κ.ά κ.α κ.ο.κ μ.μ π.μ μ.χ π.Χ α.ε εκ δισ χιλ ευρώ",
        "inner": "π.χ δηλ βλ λ.χ",
        "starters": "ο η το οι τα του της των τον την στο στη στην στον στα στις στους ένας μια μία ένα αυτός αυτή"
        " αυτό και κι αλλά ή αν όταν όπως που πού πώς γιατί τι ποιος με σε από για μετά πριν κατά δεν θα να είναι"
        " ήταν έτσι όμως επίσης ωστόσο σύμφωνα παρά αφού ενώ όλα όλοι",
    },
    "tr": {
        "titles": "dr prof doç yrd av sn hz st müh alb yb bnb tğm bkz örn vb vs mah cad sok sk blv apt no tel s sf"
        " çev haz akt kr org gen alm ing fr lat yun",
        "labels": "no s sf md bkz c cilt",
        "closing": "vb vs vd a.ş ltd şti jr m.ö m.s ö.s",
        "inner": "bkz örn",
        "starters": "bu şu o bir ben sen biz siz onlar ve ama fakat ancak çünkü eğer ne nasıl neden kim nerede her"
        " hiç çok daha en ise de da böyle öyle şimdi sonra önce artık bunun bunu onun onu bunlar ayrıca yani hem"
        " ya",
        "after_ordinals": "yüzyıl dünya yüzyılda yüzyılın",
    },
    "vi": {
        "titles": "tp tx tt q p gs pgs ts ths bs ks kts lm đ/c ông bà st đt ubnd",
        "labels": "số tr",
        "closing": "v.v vv",
        "starters": "tôi anh chị ông bà nó họ chúng đó đây khi nếu nhưng và vì trong một các những có không theo"
        " sau trước tại",
    },
    "hy": {
        "titles": "պրոֆ ակադ դոկտ փ հ թ",
        "closing": "հազ մլն մլրդ",
    },
    "fa": {
        "titles": "ه.ق ه.ش ق.م م ص ج ر.ک",
    },
    "ar": {
        "titles": "د أ م ص ج",
    },
    "hu": {
        "titles": "dr prof id ifj özv szt stb pl ún kb ill ti vö ld u tel ker okl gr br",
        "closing": "stb kft rt bt zrt sz",
        "inner": "pl ún kb",
        "starters": "a az egy ez azt ezt és de hogy ha nem is ő ők én mi ti itt ott majd akkor mert után előtt már"
        " csak minden",
    },
    "ro": {
        "titles": "dl dna dr prof ing sf str nr pag art fig vol cf ex jud com",
        "labels": "nr art pag fig vol",
        "closing": "etc jr d.hr î.hr s.a",
        "starters": "el ea ei ele un o acest această în din pe la de cu fără pentru prin după dar și sau dacă când"
        " cum unde ce cine nu este sunt a au mai",
    },
}  # fmt: skip

_WRITTEN_LIKE = {"nb": "no", "nn": "no"}
"""Languages that have the words of another."""
_KINDS = ("titles", "labels", "closing", "inner")


@cache
def words_of(language: str) -> Words:
    """Return the words of a language, with those of English, which all languages quote, where they do not disagree."""
    own, english = _TEXTS.get(_WRITTEN_LIKE.get(language, language), {}), _TEXTS["en"]
    kinds = {field.name: frozenset(own.get(field.name, "").split()) for field in fields(Words)}
    taken = {word.lower() for kind in (*_KINDS, "starters") for word in kinds[kind]}
    for kind in (*_KINDS, "starters"):
        kinds[kind] |= {word for word in english.get(kind, "").split() if word.lower() not in taken}
    return Words(**kinds)


def own_starters(language: str) -> frozenset[str]:
    """Return the words that begin sentences in a language, without those of English."""
    return frozenset(_TEXTS.get(language, {}).get("starters", "").split())


def languages() -> tuple[str, ...]:
    """Return the languages that have words, by their codes of ISO 639-1."""
    return tuple(_TEXTS)
